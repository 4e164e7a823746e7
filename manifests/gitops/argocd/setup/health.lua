-- How an object of ackbox is, for Argo CD. One text for every kind: all of them keep to kstatus' conditions.
local health = {status = "Progressing", message = "waits for ackbox"}
local annotations = obj.metadata.annotations
-- A sync that has hooks or waves after it waits for what is Suspended.
if annotations ~= nil and annotations["ackbox.dev/paused"] == "true" then
  return {status = "Suspended", message = "ackbox.dev/paused is set: ackbox leaves it alone"}
end
if obj.status == nil or obj.status.conditions == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  return health
end
local conditions = {}
for _, condition in ipairs(obj.status.conditions) do
  if condition.status == "True" or condition.type == "Ready" then
    conditions[condition.type] = condition
  end
end
local ready = conditions.Ready
if ready == nil then
  return health
end
health.message = ready.reason
if ready.message ~= nil and ready.message ~= "" then
  health.message = ready.reason .. ": " .. ready.message
end
if conditions.Stalled ~= nil then
  health.status = "Degraded"
elseif conditions.Reconciling == nil and ready.status == "True" then
  health.status = "Healthy"
end
return health
