package hot

import "github.com/redis/go-redis/v9"

// claimScript claims a key if the server's memory is the one that the caller knows.
//
//	KEYS birth, and the key to claim if any
//	ARGV now in ms, the birth as the caller knows it, ttl in ms, quarantine in ms
//	answers {1 claimed, 0 was there, -1 another birth than the caller knows; birth}
//
// The birth carries the run id of the server's process: a restarted or promoted server has another one. While a replica is
// promoted the master before it may go on to claim for a moment, so a birth that follows another one lies a little ahead.
var claimScript = redis.NewScript(`
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local birth = redis.call('GET', KEYS[1])
if not birth or string.sub(birth, 1, #run) ~= run then
  local policy = string.match(redis.call('INFO', 'memory'), 'maxmemory_policy:([%w-]+)')
  if policy ~= 'noeviction' then
    return redis.error_reply('EVICTS maxmemory-policy must be noeviction and is ' .. tostring(policy))
  end
  local at = tonumber(ARGV[1])
  if birth then at = at + tonumber(ARGV[4]) end
  birth = run .. ' ' .. string.format('%d', at)
  redis.call('SET', KEYS[1], birth)
end
if birth ~= ARGV[2] then return {-1, birth} end
if not KEYS[2] then return {0, birth} end
if redis.call('SET', KEYS[2], '', 'NX', 'PX', ARGV[3]) then return {1, birth} end
return {0, birth}
`)

var markScript = redis.NewScript(`
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], '', 'PX', ARGV[1]) end
return 1
`)

// allowScript is the generic cell rate algorithm in microseconds; it returns how long to wait, 0 for go. A bucket is full again
// within burst intervals: what lies beyond was written before the clock stepped back, or by a replica whose clock is ahead.
var allowScript = redis.NewScript(`
local now, interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local full = tonumber(redis.call('GET', KEYS[1]) or '0')
if full < now or full > now + burst * interval then full = now end
full = full + interval
local wait = full - burst * interval - now
if wait > 0 then return wait end
redis.call('SET', KEYS[1], string.format('%d', full), 'PX', math.ceil((full - now) / 1000) + 1000)
return 0
`)

var leaseScript = redis.NewScript(`
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
`)

var releaseScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
`)
