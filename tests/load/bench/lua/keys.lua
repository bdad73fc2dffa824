-- Sends the requests of a plan in their order, each time with a key that no request has had.
local plan = dofile(debug.getinfo(1, "S").source:match("^@(.*)keys%.lua$") .. "plan.lua")
local heads, rests, position, count = {}, {}, 0, 0
local random = io.open("/dev/urandom", "rb")
local run = random:read(8):gsub(".", function(byte) return string.format("%02x", byte:byte()) end)
random:close()

function init(args)
  for method, path, token, tag, body in plan.lines(args[1]) do
    local first, rest = plan.request(method, path, token, tag, body):match("^([^\r]*\r\n)(.*)$")
    heads[#heads + 1], rests[#rests + 1] = first .. "Idempotency-Key: " .. run .. "-", "\r\n" .. rest
  end
  plan.ready()
end

function request()
  position, count = position % #heads + 1, count + 1
  return heads[position] .. count .. rests[position]
end

done = plan.report
