package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/util"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// serve is this program as one of the servers. Its first line says where it listens.
func serve(kind, policy string) error {
	s := grpc.NewServer()
	switch kind {
	case "echo":
		answer, err := typical()
		if err != nil {
			return err
		}
		auth.RegisterAuthorizationServer(s, echo{answer: answer})
	case "opa":
		p, err := newPlugin(policy)
		if err != nil {
			return err
		}
		auth.RegisterAuthorizationServer(s, p)
	default:
		return fmt.Errorf("%s: there is no such server", kind)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	return s.Serve(ln)
}

// echo decodes the question and answers without a look at it: what gRPC and Envoy's messages alone cost.
type echo struct {
	auth.UnimplementedAuthorizationServer
	answer *auth.CheckResponse
}

func (e echo) Check(context.Context, *auth.CheckRequest) (*auth.CheckResponse, error) {
	return e.answer, nil
}

// typical is a permit as Thymus says it.
func typical() (*auth.CheckResponse, error) {
	const id = "01939d2f-0000-7000-8000-000000000000"
	set := func(name, value string) *core.HeaderValueOption {
		return &core.HeaderValueOption{Header: &core.HeaderValue{Key: name, Value: value}, Append: wrapperspb.Bool(false)}
	}
	told, err := structpb.NewStruct(map[string]any{"decision_id": id, "effect": "allow", "policy": "bench", "rule": "service_17",
		"reason": "Allowed by rule 'service_17'"})
	return &auth.CheckResponse{
		Status: &status.Status{},
		HttpResponse: &auth.CheckResponse_OkResponse{OkResponse: &auth.OkHttpResponse{
			Headers:         []*core.HeaderValueOption{set("x-thymus-decision-id", id), set("x-thymus-effect", "allow")},
			HeadersToRemove: []string{"x-thymus-warning", "x-thymus-reason"},
		}},
		DynamicMetadata: told,
	}, err
}

// plugin answers as opa-envoy-plugin does.
type plugin struct {
	auth.UnimplementedAuthorizationServer
	query rego.PreparedEvalQuery
	store storage.Store
}

func newPlugin(file string) (*plugin, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	p := &plugin{store: inmem.New()}
	p.query, err = rego.New(rego.Query("data.bench.allow"), rego.Module(file, string(text)), rego.Store(p.store)).PrepareForEval(context.Background())
	return p, err
}

// Check implements auth.AuthorizationServer.
func (p *plugin) Check(ctx context.Context, req *auth.CheckRequest) (*auth.CheckResponse, error) {
	m := metrics.New()
	m.Timer(metrics.ServerHandler).Start()
	defer m.Timer(metrics.ServerHandler).Stop()
	input, err := toInput(req)
	if err != nil {
		return nil, err
	}
	value, err := ast.InterfaceToValue(input)
	if err != nil {
		return nil, err
	}
	txn, err := p.store.NewTransaction(ctx, storage.TransactionParams{})
	if err != nil {
		return nil, err
	}
	defer p.store.Abort(ctx, txn)
	rs, err := p.query.Eval(ctx, rego.EvalParsedInput(value), rego.EvalTransaction(txn), rego.EvalMetrics(m))
	if err != nil {
		return nil, err
	}
	told, err := structpb.NewStruct(map[string]any{"decision_id": decisionID()})
	if err != nil {
		return nil, err
	}
	if len(rs) == 1 && rs.Allowed() {
		return &auth.CheckResponse{Status: &status.Status{}, DynamicMetadata: told,
			HttpResponse: &auth.CheckResponse_OkResponse{OkResponse: &auth.OkHttpResponse{}}}, nil
	}
	return &auth.CheckResponse{Status: &status.Status{Code: 7}, DynamicMetadata: told,
		HttpResponse: &auth.CheckResponse_DeniedResponse{DeniedResponse: &auth.DeniedHttpResponse{
			Status: &typev3.HttpStatus{Code: typev3.StatusCode_Forbidden}}}}, nil
}

// toInput is the message as a policy sees it.
func toInput(req *auth.CheckRequest) (map[string]any, error) {
	text, err := protojson.Marshal(req)
	if err != nil {
		return nil, err
	}
	var input map[string]any
	if err := util.NewJSONDecoder(bytes.NewReader(text)).Decode(&input); err != nil {
		return nil, err
	}
	u, err := url.Parse(req.GetAttributes().GetRequest().GetHttp().GetPath())
	if err != nil {
		return nil, err
	}
	var path []any
	for part := range strings.SplitSeq(strings.TrimLeft(u.Path, "/"), "/") {
		path = append(path, part)
	}
	query := map[string]any{}
	for k, vs := range u.Query() {
		list := make([]any, len(vs))
		for i, v := range vs {
			list[i] = v
		}
		query[k] = list
	}
	input["parsed_path"], input["parsed_query"] = path, query
	input["parsed_body"], input["truncated_body"] = nil, false
	input["version"] = map[string]any{"ext_authz": "v3", "encoding": "protojson"}
	return input, nil
}

// decisionID is a random UUID.
func decisionID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
