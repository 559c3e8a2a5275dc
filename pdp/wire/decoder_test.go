package wire_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"thymus/pdp"
	"thymus/pdp/wire"
)

// calls are all ways to use a Decoder; each says in words what came of a body.
var calls = map[string]func(d *wire.Decoder, body []byte) string{
	"native": func(d *wire.Decoder, body []byte) string {
		var req pdp.Request
		return outcome(d.Native(body, pdp.SurfaceNative, &pdp.Peer{Unix: true, HasCred: true, UID: 7}, &req), &req)
	},
	"native batch": func(d *wire.Decoder, body []byte) string {
		n, p := d.NativeBatch(body, pdp.SurfaceNative, nil)
		s := outcome(p, nil)
		for range n {
			var req pdp.Request
			s += "\n" + outcome(d.NativeItem(&req), &req)
		}
		return s
	},
	"evaluation": func(d *wire.Decoder, body []byte) string {
		var req pdp.Request
		return outcome(d.Evaluation(body, &pdp.Peer{Principal: "bad \xff name"}, &req), &req)
	},
	"evaluations": func(d *wire.Decoder, body []byte) string {
		var req pdp.Request
		b, p := d.Evaluations(body, nil, &req)
		if p != nil || b.Items == 0 {
			return outcome(p, &req)
		}
		s := fmt.Sprint(b)
		for range b.Items {
			s += "\n" + outcome(d.EvaluationItem(&req), &req)
		}
		return s
	},
	"data": func(d *wire.Decoder, body []byte) string {
		var req pdp.Request
		if e := d.Data(nil, body, subjectID, &req); e != nil {
			return e.Message
		}
		return outcome(nil, &req)
	},
}

func outcome(p *wire.Problem, req *pdp.Request) string {
	if p != nil {
		return fmt.Sprintf("%+v", *p)
	}
	if req == nil {
		return "fine"
	}
	if len(req.Input.Nodes) == 0 {
		return "undefined"
	}
	in := *req.Input
	r := *req
	r.Input = nil
	return fmt.Sprintf("%+v %s", r, in.AppendJSON(nil, 0))
}

// A pooled Decoder remembers nothing of the calls before, however they ended and whatever surface they came from.
func TestADecoderRemembersNothing(t *testing.T) {
	bodies := append([]string{native150, authzen200, native1, batch2, data1, `{` + alice + `,` + read + `,` + record + `}`,
		`{"evaluations":[{},{},{}]}`, `{"input":{"a":1,"a":2}}`, "{\"input\":\"\xff\"}", `{"agent_id":"\u0061","action":"b\n"}`,
		`{"input":[` + strings.Repeat("0,", 40_000) + `0]}`}, scanSeeds...)
	rng := rand.New(rand.NewPCG(9, 10))
	var names []string
	for name := range calls {
		names = append(names, name)
	}
	pooled := wire.NewDecoder()
	for range 3000 {
		name, body := names[rng.IntN(len(names))], []byte(bodies[rng.IntN(len(bodies))])
		sent := string(body)
		got, want := calls[name](pooled, body), calls[name](wire.NewDecoder(), body)
		if got != want {
			t.Fatalf("%s of %.200q:\npooled %.500s\nfresh  %.500s", name, body, got, want)
		}
		if string(body) != sent {
			t.Fatalf("%s wrote to its body %.200q", name, sent)
		}
		if rng.IntN(3) == 0 {
			pooled.Release()
		}
	}
}

func TestABadPrincipalBecomesText(t *testing.T) {
	got := calls["evaluation"](wire.NewDecoder(), []byte(authzen200))
	if !strings.HasSuffix(got, `"peer":{"surface":"authzen","transport":"tcp","principal":"bad `+"\ufffd"+` name"}}`) {
		t.Errorf("got %s", got)
	}
}

func TestTheBodyMayBeReusedAtOnce(t *testing.T) {
	body := []byte(native150)
	var req pdp.Request
	if p := wire.NewDecoder().Native(body, pdp.SurfaceNative, nil, &req); p != nil {
		t.Fatal(p)
	}
	want := outcome(nil, &req)
	clear(body)
	if got := outcome(nil, &req); got != want {
		t.Errorf("got %s", got)
	}
}

func TestReleaseKeepsSmallMemoryAndGivesLargeBack(t *testing.T) {
	d := wire.NewDecoder()
	var req pdp.Request
	small, text, nodes := []byte(data1), []byte(`{"input":"`+long(200_000)+`"}`), []byte(`{"input":[`+strings.Repeat("0,", 9000)+`0]}`)
	use := func(body []byte) func() {
		return func() {
			if e := d.Data(nil, body, subjectID, &req); e != nil {
				t.Fatal(e)
			}
			d.Release()
		}
	}
	if n := testing.AllocsPerRun(50, use(small)); n != 0 {
		t.Errorf("a small call allocates %v times after a release", n)
	}
	for _, large := range [][]byte{text, nodes} {
		if n := testing.AllocsPerRun(5, use(large)); n == 0 {
			t.Errorf("the memory for %.20s... stayed", large)
		}
	}
}
