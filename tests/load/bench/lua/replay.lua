-- Sends the requests of a plan in their order, over and over.
local plan = dofile(debug.getinfo(1, "S").source:match("^@(.*)replay%.lua$") .. "plan.lua")
local requests, position = {}, 0

function init(args)
  for method, path, token, tag, body in plan.lines(args[1]) do
    requests[#requests + 1] = plan.request(method, path, token, tag, body)
  end
  plan.ready()
end

function request()
  position = position % #requests + 1
  return requests[position]
end

done = plan.report
