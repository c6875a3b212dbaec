"""What the index of the ledger does inside Redis, each in one step: a batch is there whole or not at all.

Lua knows no bytes beyond its strings: numbers stand big-endian, so that texts compare as numbers do.
"""

from __future__ import annotations

#: Bytes of the parts of an item, see :class:`hub.state.ledger_index.Item`.
ID_BYTES, PLACE_BYTES, KEY_BYTES, WINDOW_BYTES, SUBJECT_BYTES = 10, 8, 4, 4, 8
ENTRY_BYTES = PLACE_BYTES + KEY_BYTES
TOUCH_BYTES = 2 * ID_BYTES + SUBJECT_BYTES
#: Fact, entry, hour, id, subject, and the number of the department.
ITEM_BYTES = 2 * ID_BYTES + ENTRY_BYTES + WINDOW_BYTES + SUBJECT_BYTES + 1

#: Where a member of fixed width stands in a string of such members; and the name of the hash that an id stands in:
#: 16,384 of them keep each small, which is how Valkey packs them, up to two million ids.
_MEMBERS = """
local function hash_of(id)
  return string.sub(id, 1, 1) .. string.char(bit.band(string.byte(id, 2), 252))
end
local function place_of(members, member)
  local at = string.find(members, member, 1, true)
  while at do
    if (at - 1) % #member == 0 then return at end
    at = string.find(members, member, at + 1, true)
  end
end
"""

#: ARGV: prefix, mark expected, mark after, owner, lease in ms, items, departments, desk commands, offsets. 1 if it was
#: written; 0 where the mark is another: the index was lost, rolled back, or somebody else has taken it over.
WRITE = _MEMBERS + """
local P = ARGV[1]
local meta = P .. 'meta'
if redis.call('HGET', meta, 'mark') ~= ARGV[2] then return 0 end
local floor = redis.call('HGET', meta, 'floor') or '\\0\\0\\0\\0'
local departments = cjson.decode(ARGV[7])
local items, sub = ARGV[6], string.sub
local none, nobody = string.rep('\\0', 4), string.rep('\\0', 10)
local entities, entries, ids, subjects, touches, listed = 0, 0, 0, 0, 0, 0
for at = 1, #items, 45 do
  local entity, entry = sub(items, at, at + 9), sub(items, at + 10, at + 21)
  local window, id = sub(items, at + 22, at + 25), sub(items, at + 26, at + 35)
  local subject, department = sub(items, at + 36, at + 43), string.byte(items, at + 44)
  local key = P .. 'e:' .. entity
  local old = redis.call('GET', key)
  local is_added, is_touched = false, false
  if not old then
    if window >= floor then
      redis.call('SET', key, window .. entry)
      entities = entities + 1
      is_added, is_touched = true, true
    end
  else
    local last, rest, kept = sub(old, 1, 4), sub(old, 5), nil
    local name = sub(entry, 9, 12)
    if name == none then
      if place_of(rest, entry) then kept = rest else kept, is_added = rest .. entry, true end
    else
      -- Of a key of a compacted topic the latest record alone is kept, as the log itself does it.
      for from = 1, #rest, 12 do
        local other = sub(rest, from, from + 11)
        if sub(other, 9, 12) == name and sub(other, 1, 3) == sub(entry, 1, 3) then
          if other < entry then kept = sub(rest, 1, from - 1) .. entry .. sub(rest, from + 12) else kept = rest end
          break
        end
      end
      if not kept then kept, is_added = rest .. entry, true end
    end
    if window > last then last, is_touched = window, true end
    local now = last .. kept
    if now ~= old then redis.call('SET', key, now) end
  end
  if is_added then entries = entries + 1 end
  if old or is_added then
    local is_named = id ~= nobody
    if is_named and redis.call('HSET', P .. 'i:' .. hash_of(id), sub(id, 2), entity) == 1 then ids = ids + 1 end
    if (is_named or not old) then
      local of = P .. 's:' .. subject
      local known = redis.call('GET', of)
      if not known then
        redis.call('SET', of, entity)
        subjects = subjects + 1
      elseif not place_of(known, entity) then
        redis.call('APPEND', of, entity)
      end
    end
    if is_touched or (is_named and is_added) then
      if redis.call('APPEND', P .. 'w:' .. window, entity .. id .. subject) == 28 then
        redis.call('ZADD', P .. 'windows', struct.unpack('>I4', window), window)
      end
      touches = touches + 1
    end
    if department > 0 and is_added and window >= floor then
      local code = departments[department]
      if redis.call('APPEND', P .. 'd:' .. code .. ':' .. window, entity) == 10 then
        redis.call('SADD', P .. 'dw:' .. window, code)
      end
      listed = listed + 1
    end
  end
end
for name, count in pairs({entities = entities, entries = entries, ids = ids, subjects = subjects, touches = touches,
                          listed = listed}) do
  if count > 0 then redis.call('HINCRBY', meta, name, count) end
end
for _, command in ipairs(cjson.decode(ARGV[8])) do redis.call(unpack(command)) end
local offsets = cjson.decode(ARGV[9])
for from = 1, #offsets, 2000 do
  redis.call('HSET', P .. 'offsets', unpack(offsets, from, math.min(from + 1999, #offsets)))
end
redis.call('HSET', meta, 'mark', ARGV[3])
redis.call('SET', P .. 'owner', ARGV[4], 'PX', ARGV[5])
return 1
"""

#: ARGV: prefix, mark, how many touches at most. Takes them from the oldest window; answers how many it took, -1 where
#: the mark is another.
EVICT = _MEMBERS + """
local P = ARGV[1]
local meta = P .. 'meta'
if redis.call('HGET', meta, 'mark') ~= ARGV[2] then return -1 end
local oldest = redis.call('ZRANGE', P .. 'windows', 0, 0)[1]
if not oldest then return 0 end
local number = struct.unpack('>I4', oldest)
local from = tonumber(redis.call('HGET', meta, 'cursor') or '0')
local most = tonumber(ARGV[3]) * 28
local list = P .. 'w:' .. oldest
local part = redis.call('GETRANGE', list, from, from + most - 1)
redis.call('HSET', meta, 'floor', struct.pack('>I4', number + 1))
local nobody, sub = string.rep('\\0', 10), string.sub
local entities, entries, ids, subjects = 0, 0, 0, 0
local function forget(id)
  if id ~= nobody and redis.call('HDEL', P .. 'i:' .. hash_of(id), sub(id, 2)) == 1 then ids = ids + 1 end
end
for at = 1, #part, 28 do
  local entity, id, subject = sub(part, at, at + 9), sub(part, at + 10, at + 19), sub(part, at + 20, at + 27)
  local key = P .. 'e:' .. entity
  local found = redis.call('GET', key)
  if found and sub(found, 1, 4) > oldest then
    -- Something came of it later: it stays, and its names leave with it.
    if id ~= nobody then
      redis.call('APPEND', P .. 'w:' .. sub(found, 1, 4), entity .. id .. subject)
      redis.call('HINCRBY', meta, 'touches', 1)
    end
  else
    if found then
      redis.call('DEL', key)
      entities, entries = entities + 1, entries + (#found - 4) / 12
    end
    forget(id)
    local of = P .. 's:' .. subject
    local known = redis.call('GET', of)
    local place = known and place_of(known, entity)
    if place then
      known = sub(known, 1, place - 1) .. sub(known, place + 10)
      if known == '' then redis.call('DEL', of) subjects = subjects + 1 else redis.call('SET', of, known) end
    end
  end
end
for name, count in pairs({entities = entities, entries = entries, ids = ids, subjects = subjects,
                          touches = #part / 28}) do
  if count > 0 then redis.call('HINCRBY', meta, name, -count) end
end
if #part < most or from + #part >= redis.call('STRLEN', list) then
  for _, code in ipairs(redis.call('SMEMBERS', P .. 'dw:' .. oldest)) do
    local of = P .. 'd:' .. code .. ':' .. oldest
    redis.call('HINCRBY', meta, 'listed', -(redis.call('STRLEN', of) / 10))
    redis.call('DEL', of)
  end
  redis.call('DEL', P .. 'dw:' .. oldest, list)
  redis.call('ZREM', P .. 'windows', oldest)
  redis.call('HDEL', meta, 'cursor')
else
  redis.call('HSET', meta, 'cursor', from + #part)
end
return #part / 28
"""
