-- wrk -s delayed_post.lua URL -- BODY_FILE CONTENT_TYPE MEAN_DELAY_MS
-- Like post.lua, but every connection waits a random time before each request. Many connections
-- together then send at a rate that hardly depends on how fast the answers arrive.

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

-- Reports accepted requests only. Rejections are faster, so the accepted requests are the slowest
-- answers. Where one is not, the percentiles come out higher, never lower.
function percentile_of_all(percent, summary)
  local accepted = 1 - summary.errors.status / summary.requests
  return 100 - (100 - percent) * accepted
end
