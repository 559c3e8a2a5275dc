package threat

import "github.com/redis/go-redis/v9"

// What a fleet shares in Redis, under one hash tag so that a cluster keeps it together ("T" is thymus:{threats}):
//
//	T:epoch        names this data set: random, made by whoever finds none. Numbers below are good only with it.
//	T:seq          counts changes, from 1
//	T:body         hash: threat id → JSON
//	T:order        sorted set: threat id by the number of its last change, removals included
//	T:gone         sorted set: removed threat ids by the number of the removal; the newest 10,000
//	T:floor        changes up to this number cannot be followed any more: removals were forgotten
//	T:incident     hash: incident → id of its newest threat; and = and a common name → id of the newest threat that has it
//	T:final        sorted set, all scores 0, which is by id, which is by time: threats whose status is final
//	T:open         the same of the others
//	T:sent         hash: instance → number of the last event that it put into its outbox
//	T:outbox:NAME  list: events that instance NAME owes its journal, each its number, a colon and the event's record
//
// A change is one script: it is there with its events, or not at all.
const redisPrefix = "thymus:{threats}:"

// saveScript stores a threat if nobody changed it since it was read.
//
// KEYS: epoch seq body order gone floor incident final open sent outbox
// ARGV: epoch, id, version that it is made from (0: none), JSON, 1 if final, incident, incident's threat as read, limit,
// instance, common name, its threat as read, events...
//
// It returns 1 when stored, 0 when somebody else was first, -1 under another epoch.
var saveScript = redis.NewScript(`
local epoch, seqk, body, order, gone, floor, incident, final, open, sent, outbox = unpack(KEYS)
if redis.call('GET', epoch) ~= ARGV[1] then return -1 end
local id = ARGV[2]
local cur = redis.call('HGET', body, id)
local version = 0
if cur then version = cjson.decode(cur).version end
if version ~= tonumber(ARGV[3]) then return 0 end
local function other(name, read)
  return name ~= '' and (redis.call('HGET', incident, name) or '') ~= read
end
if other(ARGV[6], ARGV[7]) or other(ARGV[10], ARGV[11]) then return 0 end

local function unname(name, id)
  if name and redis.call('HGET', incident, name) == id then redis.call('HDEL', incident, name) end
end
local function remove(key)
  local old = redis.call('ZPOPMIN', key)[1]
  if not old then return false end
  local was = redis.call('HGET', body, old)
  if was then
    was = cjson.decode(was)
    unname(was.incident, old)
    if was.common then unname('=' .. was.common, old) end
    for name in pairs(was.seen or {}) do unname(name, old) end
  end
  redis.call('HDEL', body, old)
  local n = redis.call('INCR', seqk)
  redis.call('ZADD', order, n, old)
  redis.call('ZADD', gone, n, old)
  return true
end

if not cur then
  local many = redis.call('HLEN', body) - tonumber(ARGV[8]) + 1
  for i = 1, math.min(many, 100) do
    if not remove(final) and not remove(open) then break end
  end
  local forget = redis.call('ZCARD', gone) - 10000
  for i = 1, forget do
    local x = redis.call('ZPOPMIN', gone)
    redis.call('ZREM', order, x[1])
    redis.call('SET', floor, x[2])
  end
end
redis.call('HSET', body, id, ARGV[4])
redis.call('ZADD', order, redis.call('INCR', seqk), id)
if ARGV[5] == '1' then
  redis.call('ZREM', open, id)
  redis.call('ZADD', final, 0, id)
else
  redis.call('ZADD', open, 0, id)
end
for _, name in ipairs({ARGV[6], ARGV[10]}) do
  if name ~= '' then redis.call('HSET', incident, name, id) end
end
for i = 12, #ARGV do
  redis.call('RPUSH', outbox, redis.call('HINCRBY', sent, ARGV[9], 1) .. ':' .. ARGV[i])
end
return 1
`)

// followScript gives what changed since a number.
//
// KEYS: epoch seq body order floor
// ARGV: epoch as known, or empty; a new epoch's name; number; how many at most
//
// It returns epoch, floor, and for each change its number, the id and the JSON, which is empty for a removal. Under
// another epoch, or below the floor, it begins anew.
var followScript = redis.NewScript(`
local epoch, seqk, body, order, floor = unpack(KEYS)
local e = redis.call('GET', epoch)
if not e then
  e = ARGV[2]
  redis.call('SET', epoch, e)
end
local from = tonumber(ARGV[3])
local low = redis.call('GET', floor) or '0'
if e ~= ARGV[1] or (from > 0 and from < tonumber(low)) then from = 0 end
local out = {e, tostring(from)}
local ids = redis.call('ZRANGEBYSCORE', order, '(' .. from, '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[4])
for i = 1, #ids, 2 do
  out[#out+1] = ids[i+1]
  out[#out+1] = ids[i]
  out[#out+1] = redis.call('HGET', body, ids[i]) or ''
end
return out
`)
