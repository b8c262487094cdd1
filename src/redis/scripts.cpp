// SPDX-License-Identifier: Apache-2.0
#include "redis/scripts.h"

namespace gordian::redis {

// A token is also no smaller than the server's clock in us: whatever forgets the counter, a token
// drawn later is larger. (To 2^53, the year 2255, Lua's numbers are exact; its own way to write
// them is not.)
const Script kAcquire{
    .text =
        "local r=redis.call('SET',KEYS[1],ARGV[1],'NX','PX',ARGV[2]) "
        "local v=redis.call('GET',KEYS[1]) "
        "if not r then "
        "if v~=ARGV[1] then return {v,redis.call('PTTL',KEYS[1])} end "
        "redis.call('PEXPIRE',KEYS[1],ARGV[2]) redis.call('GET',KEYS[1]) end "
        "if KEYS[2] then local n=redis.call('INCR',KEYS[2]) local t=redis.call('TIME') "
        "local now=t[1]*1000000+t[2] if n<now then n=now end "
        "redis.call('SET',KEYS[2],string.format('%.0f',n),'PX',ARGV[3]) return n end "
        "return 1",
    .sha1 = "357bdc2e147214f0519b88280916020593b3f617",
};

const Script kForce{
    .text =
        "redis.call('SET',KEYS[1],ARGV[1],'PX',ARGV[2]) "
        "redis.call('GET',KEYS[1]) "
        "if KEYS[2] then local n=redis.call('INCR',KEYS[2]) local t=redis.call('TIME') "
        "local now=t[1]*1000000+t[2] if n<now then n=now end "
        "redis.call('SET',KEYS[2],string.format('%.0f',n),'PX',ARGV[3]) return n end "
        "return 1",
    .sha1 = "f39a08ac59f88f241b8cb61c19abe724d9a4b7ed",
};

const Script kRaise{
    .text =
        "if tonumber(redis.call('GET',KEYS[1]) or '0')<tonumber(ARGV[1]) then "
        "redis.call('SET',KEYS[1],ARGV[1],'PX',ARGV[2]) end return 1",
    .sha1 = "69f746f1d42fe28f4b358dd3d84f7962b5e9582d",
};

const Script kExtend{
    .text =
        "if redis.call('GET',KEYS[1])==ARGV[1] then "
        "redis.call('PEXPIRE',KEYS[1],ARGV[2]) redis.call('GET',KEYS[1]) return 1 end "
        "return 0",
    .sha1 = "6fb9b7744fbb83ded59473548f84acded40a74f7",
};

const Script kRelease{
    .text =
        "if redis.call('GET',KEYS[1])==ARGV[1] then return redis.call('DEL',KEYS[1]) end "
        "return 0",
    .sha1 = "5c714dd8ed5b943a1f472132e06290c53ab22693",
};

const Script kAcquireShared{
    .text =
        "local v=redis.call('GET',KEYS[1]) "
        "local s=v and #v==24 and string.sub(v,1,2)=='Gd' and string.byte(v,4)==1 "
        "if v and not s then return {v,redis.call('PTTL',KEYS[1])} end "
        "local t=redis.call('TIME') local now=t[1]*1000+math.floor(t[2]/1000) "
        "local w=redis.call('GET',KEYS[3]) "
        "if w and not (v and redis.call('ZSCORE',KEYS[2],ARGV[1])) then "
        "return {w,redis.call('PTTL',KEYS[3])} end "
        "if not v then redis.call('DEL',KEYS[2]) redis.call('SET',KEYS[1],ARGV[1],'PX',ARGV[2]) "
        "end "
        "redis.call('ZADD',KEYS[2],now+ARGV[2],ARGV[1]) "
        "local ms=tonumber(ARGV[2]) for i=1,2 do if redis.call('PTTL',KEYS[i])<ms then "
        "redis.call('PEXPIRE',KEYS[i],ms) end end "
        "redis.call('GET',KEYS[1]) return 1",
    .sha1 = "b7efb376de4dffc486c25c27457b3687a1d25f3c",
};

const Script kExtendShared{
    .text =
        "local v=redis.call('GET',KEYS[1]) "
        "local s=v and #v==24 and string.sub(v,1,2)=='Gd' and string.byte(v,4)==1 "
        "if not s or not redis.call('ZSCORE',KEYS[2],ARGV[1]) then return 0 end "
        "local t=redis.call('TIME') local now=t[1]*1000+math.floor(t[2]/1000) "
        "redis.call('ZADD',KEYS[2],now+ARGV[2],ARGV[1]) "
        "local ms=tonumber(ARGV[2]) for i=1,2 do if redis.call('PTTL',KEYS[i])<ms then "
        "redis.call('PEXPIRE',KEYS[i],ms) end end "
        "redis.call('GET',KEYS[1]) return 1",
    .sha1 = "75eaa90692bac19aed9d005ae24d49f58d627271",
};

const Script kReleaseShared{
    .text =
        "local v=redis.call('GET',KEYS[1]) "
        "local s=v and #v==24 and string.sub(v,1,2)=='Gd' and string.byte(v,4)==1 "
        "if redis.call('ZREM',KEYS[2],ARGV[1])==0 or not s then return 0 end "
        "local t=redis.call('TIME') local now=t[1]*1000+math.floor(t[2]/1000) "
        "redis.call('ZREMRANGEBYSCORE',KEYS[2],'-inf',now) "
        "if redis.call('ZCARD',KEYS[2])==0 then redis.call('DEL',KEYS[1],KEYS[2]) end "
        "return 1",
    .sha1 = "d52f0cb271a0a8ed5c77868a5d63df9399b2220a",
};

}  // namespace gordian::redis
