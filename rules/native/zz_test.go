package native_test
import ("testing";"math/rand";"github.com/open-policy-agent/opa/v1/ast")
func TestRefusals(t *testing.T) {
	m := map[string]int{}
	for seed := int64(1); seed < 300; seed++ {
		a := &author{r: rand.New(rand.NewSource(seed))}
		mod, _ := a.module()
		_, err := ast.CompileModules(map[string]string{"t.rego": mod})
		if err != nil { s := err.Error(); if es, ok := err.(ast.Errors); ok { s = es[0].Code+" "+es[0].Message }; if len(s) > 70 { s = s[:70] }; m[s]++ }
	}
	for k, v := range m { if v > 0 { t.Log(v, k) } }
}
