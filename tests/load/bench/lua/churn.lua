-- Creates what the plan says and deletes every task that was created, so that the lists keep their length.
local plan = dofile(debug.getinfo(1, "S").source:match("^@(.*)churn%.lua$") .. "plan.lua")
local creations, position = {}, 0
local paths, tokens, created = {}, {}, {}

function init(args)
  for method, path, token, tag, body in plan.lines(args[1]) do
    creations[#creations + 1] = plan.request(method, path, token, tag, body)
    local user = path:match("^/api/([^/]+)/")
    paths[user], tokens[user] = path, token
  end
  plan.ready()
end

function request()
  local deletion = table.remove(created)
  if deletion then return deletion end
  position = position % #creations + 1
  return creations[position]
end

function response(status, headers, body)
  if status == 201 then
    local user = body:match('"user_id":%s*"([^"]+)"')
    local path = paths[user] .. "/" .. body:match('"id":%s*(%d+)')
    created[#created + 1] = plan.request("DELETE", path, tokens[user], "", "")
  end
end

done = plan.report
