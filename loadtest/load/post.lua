-- wrk -s post.lua URL -- BODY_FILE CONTENT_TYPE
-- Posts one file repeatedly and prints one line of JSON at the end.

function init(args)
  local file = assert(io.open(args[1], "rb"))
  wrk.method = "POST"
  wrk.body = file:read("*a")
  wrk.headers["Content-Type"] = args[2]
  file:close()
end

-- Converts a percentile of the answers that are reported to one of all answers. Here they are the
-- same; delayed_post.lua reports accepted requests only.
function percentile_of_all(percent, summary)
  return percent
end

function done(summary, latency, requests)
  local errors = summary.errors
  local function at(percent)
    return latency:percentile(percentile_of_all(percent, summary))
  end
  io.write(string.format(
    'RESULT {"requests": %d, "duration_us": %d, "bad_statuses": %d, "socket_errors": %d, '
      .. '"p50_us": %d, "p95_us": %d, "p99_us": %d, "max_us": %d}\n',
    summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    at(50), at(95), at(99), latency.max))
end
