package recovery

import "context"

// Once goes once.
func (l *Loop) Once(ctx context.Context, partner string) (done bool, err error) {
	return l.once(ctx, partner)
}
