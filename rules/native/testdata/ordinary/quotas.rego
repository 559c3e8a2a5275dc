package quotas

plan := data.plans[input.account.plan]

used(metric) := object.get(input.usage, metric, 0)

exceeded contains {"metric": m, "used": used(m), "limit": limit} if {
	some m, limit in plan.limits
	used(m) >= limit
}

percent[m] := p if {
	some m, limit in plan.limits
	p := round((used(m) * 100) / limit)
}

price := plan.base + sum([extra |
	some m, unit in plan.per_unit
	over := max([0, used(m) - plan.limits[m]])
	extra := over * unit
])

retry_after := ceil((input.window_end - input.now) / 1000) if count(exceeded) > 0

default tier := "standard"

tier := "gold" if {
	input.account.months >= 12
	price > 50
} else := "silver" if input.account.months >= 6

message := sprintf("%d%% of %v requests used, next in %ds", [percent.requests, plan.limits.requests, retry_after])
