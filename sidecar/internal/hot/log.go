package hot

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/redis/go-redis/v9"
)

// LogTo sends to log what the Redis client library says by itself, as debug lines: what matters of it comes back as errors,
// too. The library has one logger for the whole process and writes to standard error by default, so this is for a main, which
// owns the process, and for nobody else.
func LogTo(log *slog.Logger) { redis.SetLogger(lines{log}) }

type lines struct{ log *slog.Logger }

// Printf implements the library's logger.
func (l lines) Printf(ctx context.Context, format string, args ...any) {
	if l.log.Enabled(ctx, slog.LevelDebug) {
		l.log.DebugContext(ctx, "redis client", "said", fmt.Sprintf(format, args...))
	}
}
