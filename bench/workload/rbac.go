package workload

func rbac(size, requests int, seed uint64) *Workload    { return &Workload{} }
func abac(size, requests int, seed uint64) *Workload    { return &Workload{} }
func rebac(size, requests int, seed uint64) *Workload   { return &Workload{} }
func tools(size, requests int, seed uint64) *Workload   { return &Workload{} }
func proxy(size, requests int, seed uint64) *Workload   { return &Workload{} }
func denials(size, requests int, seed uint64) *Workload { return &Workload{} }
