package wire_test

import (
	"strings"
	"testing"

	"thymus/pdp"
	"thymus/pdp/wire"
)

func long(n int) string { return strings.Repeat("x", n) }

const tcp = `"peer":{"surface":"native","transport":"tcp"}}`

func TestNativeCallBecomesTheCanonicalInput(t *testing.T) {
	unix := &pdp.Peer{Unix: true, HasCred: true, UID: 1000, GID: 4294967295, PID: 77}
	tls := &pdp.Peer{Principal: "spiffe://a/b"}
	for name, c := range map[string]struct {
		body string
		peer *pdp.Peer
		want string
	}{
		"everything there": {
			`{"agent_id":"ops_agent","agent_role":"operator","action":"deploy_application","resource":"production_cluster",` +
				`"environment":{"tls":true},"params":{"n":[1,{"m":2}]}}`, nil,
			`{"subject":{"type":"agent","id":"ops_agent","properties":{"role":"operator"}},` +
				`"action":{"name":"deploy_application","properties":{"n":[1,{"m":2}]}},` +
				`"resource":{"type":"","id":"production_cluster","properties":{}},"context":{"tls":true},` + tcp,
		},
		"only what is required": {
			`{"action":"a","agent_id":"b"}`, nil,
			`{"subject":{"type":"agent","id":"b","properties":{}},"action":{"name":"a","properties":{}},` +
				`"resource":{"type":"","properties":{}},"context":{},` + tcp,
		},
		"an empty role and an empty resource are there": {
			`{"action":"a","agent_id":"b","agent_role":"","resource":""}`, nil,
			`{"subject":{"type":"agent","id":"b","properties":{"role":""}},"action":{"name":"a","properties":{}},` +
				`"resource":{"type":"","id":"","properties":{}},"context":{},` + tcp,
		},
		"unknown members, a peer among them, reach nothing": {
			`{"peer":{"uid":0},"subject":{"id":"root"},"context":{"x":1},"action":"a","agent_id":"b","x":[{}]}`, nil,
			`{"subject":{"type":"agent","id":"b","properties":{}},"action":{"name":"a","properties":{}},` +
				`"resource":{"type":"","properties":{}},"context":{},` + tcp,
		},
		"a Unix socket's credentials": {
			`{"action":"a","agent_id":"b"}`, unix,
			`{"subject":{"type":"agent","id":"b","properties":{}},"action":{"name":"a","properties":{}},` +
				`"resource":{"type":"","properties":{}},"context":{},` +
				`"peer":{"surface":"native","transport":"unix","uid":1000,"gid":4294967295,"pid":77}}`,
		},
		"a certificate's identity": {
			`{"action":"a","agent_id":"b"}`, tls,
			`{"subject":{"type":"agent","id":"b","properties":{}},"action":{"name":"a","properties":{}},` +
				`"resource":{"type":"","properties":{}},"context":{},` +
				`"peer":{"surface":"native","transport":"tcp","principal":"spiffe://a/b"}}`,
		},
		"names at the limit": {
			`{"action":"` + long(256) + `","agent_id":"` + long(256) + `","agent_role":"` + long(256) +
				`","resource":"` + long(4096) + `"}`, nil,
			`{"subject":{"type":"agent","id":"` + long(256) + `","properties":{"role":"` + long(256) + `"}},"action":{"name":"` +
				long(256) + `","properties":{}},"resource":{"type":"","id":"` + long(4096) + `","properties":{}},"context":{},` + tcp,
		},
	} {
		t.Run(name, func(t *testing.T) {
			req := pdp.Request{Correlation: "kept", Fault: "stale", PathDiffers: true, FaultCode: pdp.FaultInput}
			if p := wire.NewDecoder().Native([]byte(c.body), pdp.SurfaceNative, c.peer, &req); p != nil {
				t.Fatal(p)
			}
			checkTape(t, req.Input)
			if got := string(req.Input.AppendJSON(nil, 0)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if req.Correlation != "kept" || req.Fault != "" || req.PathDiffers || req.FaultCode != pdp.NoFault {
				t.Errorf("got %+v", req)
			}
			checkRequest(t, &req)
		})
	}
}

func TestEverySurfaceHasItsName(t *testing.T) {
	for s := range pdp.Surface(pdp.Surfaces) {
		var req pdp.Request
		if p := wire.NewDecoder().Native([]byte(`{"agent_id":"a","action":"b"}`), s, nil, &req); p != nil {
			t.Fatal(p)
		}
		checkRequest(t, &req)
		if req.Surface != s {
			t.Errorf("got %s, want %s", req.Surface, s)
		}
	}
}

// checkRequest fails where a request's fields do not say what its input says.
func checkRequest(t testing.TB, req *pdp.Request) {
	t.Helper()
	in := req.Input
	for path, got := range map[string]string{
		"subject.type": req.SubjectType, "subject.id": req.SubjectID, "action.name": req.Action,
		"resource.id": req.Resource, "subject.properties.role": req.Role, "peer.surface": req.Surface.String(),
	} {
		if want, _ := in.StringAt(in.Path(strings.Split(path, ".")...)); got != want {
			t.Errorf("%s: the request says %q, its input %q", path, got, want)
		}
	}
	if has := in.Path("resource", "id") >= 0; req.HasResource != has {
		t.Errorf("HasResource is %v", req.HasResource)
	}
	if _, has := in.StringAt(in.Path("subject", "properties", "role")); req.HasRole != has {
		t.Errorf("HasRole is %v", req.HasRole)
	}
}

func TestNativeCallRefusalsNameTheField(t *testing.T) {
	for name, c := range map[string]struct{ body, field, detail string }{
		"no object":                {`[]`, "", "expected a JSON object, got an array"},
		"no agent":                 {`{"action":"a"}`, "agent_id", "missing"},
		"no action":                {`{"agent_id":"a"}`, "action", "missing"},
		"an empty agent":           {`{"agent_id":"","action":"a"}`, "agent_id", "not empty"},
		"an empty action":          {`{"agent_id":"a","action":""}`, "action", "not empty"},
		"a number for the agent":   {`{"agent_id":1,"action":"a"}`, "agent_id", "expected a string, got a number"},
		"null for the action":      {`{"agent_id":"a","action":null}`, "action", "got null"},
		"null for the role":        {`{"agent_id":"a","action":"b","agent_role":null}`, "agent_role", "got null"},
		"null for the resource":    {`{"agent_id":"a","action":"b","resource":null}`, "resource", "got null"},
		"an object for resource":   {`{"agent_id":"a","action":"b","resource":{}}`, "resource", "got an object"},
		"null for params":          {`{"agent_id":"a","action":"b","params":null}`, "params", "expected an object, got null"},
		"a string for environment": {`{"agent_id":"a","action":"b","environment":"x"}`, "environment", "got a string"},
		"a long agent":             {`{"agent_id":"` + long(257) + `","action":"b"}`, "agent_id", "at most 256 bytes, got 257"},
		"a long action":            {`{"agent_id":"a","action":"` + long(257) + `"}`, "action", "at most 256"},
		"a long role":              {`{"agent_id":"a","action":"b","agent_role":"` + long(300) + `"}`, "agent_role", "got 300"},
		"a long resource":          {`{"agent_id":"a","action":"b","resource":"` + long(4097) + `"}`, "resource", "at most 4096"},
		"a limit in bytes":         {`{"agent_id":"` + strings.Repeat("é", 129) + `","action":"b"}`, "agent_id", "got 258"},
		"a duplicate":              {`{"agent_id":"a","action":"b","agent_id":"c"}`, "agent_id", "two members"},
		"a duplicate in params":    {`{"agent_id":"a","action":"b","params":{"x":1,"x":2}}`, "params.x", "two members"},
		"a duplicate not read":     {`{"agent_id":"a","action":"b","zzz":{"x":1,"x":2}}`, "zzz.x", "two members"},
		"too deep, not read":       {`{"agent_id":"a","action":"b","z":` + nest(64) + `}`, "z" + strings.Repeat(".0", 63), "deeper"},
	} {
		t.Run(name, func(t *testing.T) {
			var req pdp.Request
			p := wire.NewDecoder().Native([]byte(c.body), pdp.SurfaceNative, nil, &req)
			if p == nil {
				t.Fatal("accepted")
			}
			if p.Field != c.field || !strings.Contains(p.Detail, c.detail) || p.Status != 400 {
				t.Errorf("got %d, field %q, %q; want field %q, %q", p.Status, p.Field, p.Detail, c.field, c.detail)
			}
		})
	}
}

func TestNativeBatchPutsProblemsInTheirPlace(t *testing.T) {
	body := `{"evaluations":[{"agent_id":"a","action":"x"},{"agent_id":"b"},7,{"action":"y","agent_id":"c","params":{"n":1}},` +
		`{"agent_id":"d","action":"` + long(257) + `"}]}`
	d := wire.NewDecoder()
	n, p := d.NativeBatch([]byte(body), pdp.SurfaceNative, &pdp.Peer{Unix: true})
	if p != nil || n != 5 {
		t.Fatalf("got %d, %v", n, p)
	}
	var got []string
	for range n {
		var req pdp.Request
		if p := d.NativeItem(&req); p != nil {
			got = append(got, p.Error())
			continue
		}
		checkTape(t, req.Input)
		checkRequest(t, &req)
		if tr, _ := req.Input.StringAt(req.Input.Path("peer", "transport")); tr != "unix" {
			t.Errorf("transport %q", tr)
		}
		got = append(got, req.SubjectID+" "+req.Action)
	}
	want := []string{"a x", "evaluations.1.action: a required member is missing",
		"evaluations.2: expected an object, got a number", "c y",
		"evaluations.4.action: expected at most 256 bytes, got 257"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q", got)
	}
}

func TestNativeBatchRefusesAWholeBody(t *testing.T) {
	items := func(n int) string {
		return `{"evaluations":[` + strings.TrimSuffix(strings.Repeat(`{"agent_id":"a","action":"b"},`, n), ",") + `]}`
	}
	for name, c := range map[string]struct{ body, field, detail string }{
		"no evaluations":        {`{}`, "evaluations", "missing"},
		"null":                  {`{"evaluations":null}`, "evaluations", "got null"},
		"an object":             {`{"evaluations":{}}`, "evaluations", "expected an array"},
		"no items":              {items(0), "evaluations", "1 to 1000"},
		"1001 items":            {items(1001), "evaluations", "at most 1000 items, got 1001"},
		"a syntax error inside": {`{"evaluations":[{"agent_id":"a","action":"b"},{"agent_id"}]}`, "", "expected ':'"},
		"a duplicate inside":    {`{"evaluations":[{},{"agent_id":"a","agent_id":"b"}]}`, "evaluations.1.agent_id", "two members"},
		"an array":              {`[]`, "", "expected a JSON object"},
	} {
		t.Run(name, func(t *testing.T) {
			d := wire.NewDecoder()
			n, p := d.NativeBatch([]byte(c.body), pdp.SurfaceNative, nil)
			if p == nil {
				t.Fatalf("accepted with %d items", n)
			}
			if p.Field != c.field || !strings.Contains(p.Detail, c.detail) || p.Status != 400 {
				t.Errorf("got %d, field %q, %q", p.Status, p.Field, p.Detail)
			}
		})
	}
	if n, p := wire.NewDecoder().NativeBatch([]byte(items(1000)), pdp.SurfaceNative, nil); p != nil || n != 1000 {
		t.Errorf("1000 items: got %d, %v", n, p)
	}
}
