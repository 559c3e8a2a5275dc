package wire_test

import (
	"fmt"

	"thymus/pdp"
	"thymus/pdp/wire"
)

func ExampleDecoder_Native() {
	d := wire.NewDecoder()
	defer d.Release()
	var req pdp.Request
	body := []byte(`{"agent_id":"ops_agent","action":"deploy_application","params":{"replicas":3}}`)
	if p := d.Native(body, pdp.SurfaceNative, nil, &req); p != nil {
		fmt.Printf("%s\n", wire.AppendProblem(nil, p))
		return
	}
	fmt.Println(req.SubjectID, req.Action)
	fmt.Printf("%s\n", req.Input.AppendJSON(nil, req.Input.Path("action")))

	p := d.Native([]byte(`{"agent_id":"ops_agent","action":7}`), pdp.SurfaceNative, nil, &req)
	fmt.Printf("%s\n", wire.AppendProblem(nil, p))
	// Output:
	// ops_agent deploy_application
	// {"name":"deploy_application","properties":{"replicas":3}}
	// {"type":"/problems/invalid-field","title":"Invalid field","status":400,"detail":"expected a string, got a number","field":"action"}
}
