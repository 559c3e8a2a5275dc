# METADATA
# title: Demo
# description: Everybody may read, nobody gets to the administration, large uploads leave a warning.
package policies.demo

allow contains {"rule": "read", "name": "Read"} if input.action.name in {"GET", "HEAD"}

deny contains {"rule": "admin", "name": "Administration", "guardrail": true} if {
	startswith(input.resource.id, "/admin/")
}

allow contains {"rule": "upload", "name": "Upload"} if {
	input.action.name == "POST"
	input.resource.id == "/upload"
}

warn contains {"rule": "large_upload", "name": "Large upload", "reason": "The body was too long to be looked at"} if {
	input.resource.id == "/upload"
	input.truncated_body == true
}
