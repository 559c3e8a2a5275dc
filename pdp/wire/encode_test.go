package wire_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"thymus/pdp"
	"thymus/pdp/wire"
)

func warned() *pdp.Decision {
	return &pdp.Decision{
		ID:      [16]byte{0x01, 0x93, 0x5b, 0, 0, 1, 0x70, 2, 0x80, 3, 4, 5, 6, 7, 8, 9},
		Allowed: true, Effect: pdp.Warn, Audit: true, Matched: true, Policy: "p", Rule: "r \"1\"",
		Reason: "why", Warnings: []string{"one", "two\n"}, Revision: "abc",
	}
}

func denied() *pdp.Decision {
	return &pdp.Decision{Effect: pdp.Deny, Policy: "not shown", Reason: "No policies configured - default deny", Revision: "abc"}
}

const (
	zeroID = "00000000-0000-0000-0000-000000000000"
	warnID = "01935b00-0001-7002-8003-040506070809"
)

func TestAnswers(t *testing.T) {
	value := func(s string) *pdp.Result {
		r := &pdp.Result{Defined: true}
		if p := wire.NewScanner().Scan([]byte(s), strict, &r.Out); p != nil {
			t.Fatal(p)
		}
		return r
	}
	for name, c := range map[string]struct {
		got  []byte
		want string
	}{
		"native, with everything": {wire.AppendResult(nil, warned()),
			`{"allowed":true,"effect":"warn","matched_policy":"p","matched_rule":"r \"1\"","reason":"why","warnings":["one","two\n"],` +
				`"requires_audit":true,"decision_id":"` + warnID + `","policy_revision":"abc"}`},
		"native, by default": {wire.AppendResult(nil, denied()),
			`{"allowed":false,"effect":"deny","matched_policy":null,"matched_rule":null,` +
				`"reason":"No policies configured - default deny","warnings":[],"requires_audit":false,"decision_id":"` + zeroID +
				`","policy_revision":"abc"}`},
		"native batch": {wire.CloseResults(wire.AppendErrorItem(wire.AppendSeparator(append(wire.AppendSeparator(
			wire.OpenResults(nil), 0), "{}"...), 1), &wire.Problem{Kind: wire.KindField, Status: 400, Detail: "d", Field: "f.g"})),
			`{"results":[{},{"error":{"type":"/problems/invalid-field","title":"Invalid field","status":400,"detail":"d","field":"f.g"}}]}`},
		"AuthZEN, with context": {wire.AppendDecision(nil, warned(), true),
			`{"decision":true,"context":{"effect":"warn","reason":"why","matched_policy":"p","matched_rule":"r \"1\"",` +
				`"warnings":["one","two\n"],"requires_audit":true,"decision_id":"` + warnID + `"}}`},
		"AuthZEN, without": {wire.AppendDecision(nil, denied(), false), `{"decision":false}`},
		"AuthZEN batch": {wire.CloseDecisions(wire.AppendDecisionError(wire.AppendSeparator(wire.AppendDecision(
			wire.OpenDecisions(nil), warned(), false), 1), &wire.Problem{Status: 400, Detail: "d", Field: "f"})),
			`{"evaluations":[{"decision":true},{"decision":false,"context":{"error":{"status":400,"message":"d","field":"f"}}}]}`},
		"metadata": {wire.AppendMetadata(nil, "https://pdp.example"),
			`{"policy_decision_point":"https://pdp.example","access_evaluation_endpoint":"https://pdp.example/access/v1/evaluation",` +
				`"access_evaluations_endpoint":"https://pdp.example/access/v1/evaluations"}`},
		"a problem by status": {wire.AppendProblem(nil, wire.StatusProblem(404, "no such path")),
			`{"type":"about:blank","title":"Not Found","status":404,"detail":"no such path"}`},
		"a problem of the record": {wire.AppendProblem(nil, wire.RecordProblem()),
			`{"type":"/problems/record-not-kept","title":"Record not kept","status":503,` +
				`"detail":"the decision's record cannot be kept, and events.loss is strict"}`},
		"a problem of the content type": {wire.AppendProblem(nil, wire.ContentTypeProblem()),
			`{"type":"about:blank","title":"Bad Request","status":400,"detail":"content type: expected application/json"}`},
		"data": {wire.AppendData([]byte("before"), value(`{"a":[1,"{,}"]}`), [16]byte{}, false, false),
			`before{"result":{"a":[1,"{,}"]},"decision_id":"` + zeroID + "\"}\n"},
		"data, undefined, without input": {wire.AppendData(nil, &pdp.Result{}, [16]byte{}, true, false),
			`{"decision_id":"` + zeroID +
				`","warning":{"code":"api_usage_warning","message":"'input' key missing from the request"}}` + "\n"},
		"data, pretty": {wire.AppendData([]byte("{before"), value(`{"a":[1,{}],"b":[],"c":"\\\"{:,"}`), [16]byte{}, false, true),
			"{before{\n  \"result\": {\n    \"a\": [\n      1,\n      {}\n    ],\n    \"b\": [],\n    \"c\": \"\\\\\\\"{:,\"\n  },\n" +
				`  "decision_id": "` + zeroID + "\"\n}\n"},
		"data error": {wire.AppendDataError(nil, wire.CodeInvalidParameter, "no"),
			"{\n  \"code\": \"invalid_parameter\",\n  \"message\": \"no\"\n}\n"},
		"data fault": {wire.AppendDataFault(nil, pdp.FaultConflict, "two values"),
			"{\n  \"code\": \"internal_error\",\n  \"message\": \"error(s) occurred while evaluating query\",\n  \"errors\": [\n    {\n" +
				"      \"code\": \"eval_conflict_error\",\n      \"message\": \"two values\"\n    }\n  ]\n}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if string(c.got) != c.want {
				t.Errorf("got  %s\nwant %s", c.got, c.want)
			}
		})
	}
}

// The pretty form is the one json.Indent gives.
func FuzzPretty(f *testing.F) {
	for _, s := range append(scanSeeds, `[[],{},[{}],{"a":{}}]`, `"\\\""`) {
		f.Add([]byte(s))
	}
	s := wire.NewScanner()
	f.Fuzz(func(t *testing.T, body []byte) {
		r := pdp.Result{Defined: true}
		if s.Scan(body, strict, &r.Out) != nil {
			return
		}
		plain := wire.AppendData(nil, &r, [16]byte{}, false, false)
		var want bytes.Buffer
		if err := json.Indent(&want, plain, "", "  "); err != nil {
			t.Fatalf("%v in %s", err, plain)
		}
		if got := wire.AppendData([]byte("{["), &r, [16]byte{}, false, true)[2:]; !bytes.Equal(got, want.Bytes()) {
			t.Fatalf("got  %s\nwant %s", got, want.Bytes())
		}
	})
}

// Whatever a decision's strings hold, its answers are JSON that says the same.
func FuzzAnswers(f *testing.F) {
	f.Add("p", "r", "reason", "warning", true)
	f.Add("\xff", "\u2028", "\"\\\x00", "é", false)
	f.Fuzz(func(t *testing.T, policy, rule, reason, warning string, matched bool) {
		d := &pdp.Decision{Effect: pdp.Deny, Matched: matched, Policy: policy, Rule: rule, Reason: reason, Warnings: []string{warning}}
		var got struct {
			Policy   *string  `json:"matched_policy"`
			Rule     *string  `json:"matched_rule"`
			Reason   string   `json:"reason"`
			Warnings []string `json:"warnings"`
		}
		if err := json.Unmarshal(wire.AppendResult(nil, d), &got); err != nil {
			t.Fatal(err)
		}
		valid := func(s string) string { return string(bytes.ToValidUTF8([]byte(s), nil)) }
		if (got.Policy != nil) != matched || len(got.Warnings) != 1 {
			t.Fatalf("got %+v", got)
		}
		if valid(reason) == reason && got.Reason != reason || valid(warning) == warning && got.Warnings[0] != warning {
			t.Fatalf("got %+v", got)
		}
		if matched && valid(policy) == policy && *got.Policy != policy || matched && valid(rule) == rule && *got.Rule != rule {
			t.Fatalf("got %+v", got)
		}
		p := &wire.Problem{Status: 400, Detail: reason, Field: rule}
		for _, b := range [][]byte{wire.AppendDecision(nil, d, true), wire.AppendProblem(nil, p), wire.AppendDecisionError(nil, p),
			wire.AppendDataError(nil, policy, reason), wire.AppendDataFault(nil, pdp.FaultBuiltin, reason), wire.AppendMetadata(nil, rule)} {
			if !json.Valid(b) {
				t.Fatalf("no JSON: %s", b)
			}
		}
	})
}
