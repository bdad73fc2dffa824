-- Reads a plan: one request per line, as method, path, token, If-None-Match and body, separated by tabs.
local plan = {}

function plan.request(method, path, token, tag, body)
  local headers = { ["Authorization"] = "Bearer " .. token }
  if tag ~= "" then headers["If-None-Match"] = tag end
  if body ~= "" then headers["Content-Type"] = "application/json" end
  return wrk.format(method, path, headers, body ~= "" and body or nil)
end

function plan.lines(file)
  local read = io.lines(file)
  return function()
    local line = read()
    if line then return line:match("^([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t(.*)$") end
  end
end

function plan.ready()
  io.write("ready\n")
  io.flush()
end

function plan.report(summary, latency)
  local errors = {}
  for kind, count in pairs(summary.errors) do
    if count > 0 then errors[#errors + 1] = string.format('"%s": %d', kind, count) end
  end
  local function milliseconds(percent) return latency:percentile(percent) / 1e3 end
  local form = '\n{"requests": %d, "seconds": %.6f, "p50": %.3f, "p99": %.3f, "p999": %.3f, "errors": {%s}}\n'
  io.write(form:format(summary.requests, summary.duration / 1e6, milliseconds(50), milliseconds(99), milliseconds(99.9),
    table.concat(errors, ", ")))
end

return plan
