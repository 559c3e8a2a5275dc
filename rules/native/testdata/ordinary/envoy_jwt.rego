package envoy.jwt

default allow := false

allow if {
	claims.valid
	scopes := split(claims.payload.scope, " ")
	some needed in data.api.scopes[input.method]
	needed in scopes
}

bearer := t if {
	v := input.headers.authorization
	startswith(v, "Bearer ")
	t := substring(v, count("Bearer "), -1)
}

claims := {"valid": valid, "payload": payload} if {
	[valid, _, payload] := io.jwt.decode_verify(bearer, {"secret": data.api.secret, "alg": "HS256", "iss": "https://id.example.com", "time": input.now})
}

signed if io.jwt.verify_hs256(bearer, data.api.secret)
