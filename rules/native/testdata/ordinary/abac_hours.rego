package abac.hours

default allow := false

allow if {
	user_is_owner
	action_is_read
}

allow if {
	input.user.title == "teller"
	input.action in {"read", "update"}
	business_hours
	input.user.tenure >= 8
}

user_is_owner if data.accounts[input.account].owner == input.user.name

action_is_read if input.action == "read"

business_hours if {
	[hour, _, _] := time.clock([input.now, "America/New_York"])
	hour >= 9
	hour < 17
	not time.weekday(input.now) in ["Saturday", "Sunday"]
}

age_days := round((input.now - time.parse_rfc3339_ns(data.accounts[input.account].opened)) / 86400000000000)

deny contains msg if {
	age_days < 30
	msg := sprintf("account %v is %d days old", [input.account, age_days])
}
