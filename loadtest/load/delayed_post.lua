-- wrk -s delayed_post.lua URL -- BODY_FILE CONTENT_TYPE MEAN_DELAY_MS
-- As post.lua, but every connection waits a random time before each request: many of them send at
-- a rate that hardly depends on how fast they are answered.

local here = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
dofile(here .. "post.lua")

local post_init = init
local mean_ms = 1000

function init(args)
  post_init(args)
  mean_ms = tonumber(args[3])
  math.randomseed(os.time() + tonumber(tostring({}):match("0x(%x+)"), 16) % 1000000)
end

function delay()
  return math.random(0, 2 * mean_ms)
end

-- Latencies of accepted requests. A refusal is the faster answer, so these are the slowest; one
-- that is not makes the percentiles higher, never lower.
function of_all(percent, summary)
  local accepted = 1 - summary.errors.status / summary.requests
  return 100 - (100 - percent) * accepted
end
