// Command mesh measures Envoy's Check: Thymus beside a bare grpc-go echo, which is the floor, and beside OPA asked as
// opa-envoy-plugin asks it, all with the same messages and, but for one row, the same policy.
//
// opa-envoy-plugin itself cannot be built here (its module is not to be had), so a server of ours does per call what its
// documentation says that it does: decode Envoy's types, turn the message into JSON with protojson and that into OPA's
// values, add parsed_path, parsed_query, parsed_body, evaluate a prepared query with topdown in a transaction of the
// store, answer with the decision's id as dynamic metadata. It records nothing; Thymus keeps its journal.
//
// It is a module of its own because it imports OPA, which in Thymus package rules alone does.
package main
