package rules_test

import (
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"thymus/rules"
)

// small is the text of a policy of one rule.
func small(id string, n int) string {
	return fmt.Sprintf(`{"policy_id":%q,"name":"Policy %d","version":"1.0.%d","rules":[{"rule_id":"r","name":"Rule %d","effect":"%s","priority":%d,"conditions":[{"field":"agent_role","operator":"==","value":"role%d"},{"field":"action","operator":"in","value":["act%d","x"]}]}]}`,
		id, n, n, n, []string{"allow", "deny", "warn", "audit"}[n%4], n%10, n, n%7)
}

func stored(id, text string) rules.Source {
	form := rules.FormStructured
	if strings.HasPrefix(text, "package ") {
		form = rules.FormRego
	}
	return rules.Source{ID: id, Form: form, Text: []byte(text), Origin: "api:" + id}
}

// BenchmarkChangeAmong changes one of many policies. mixed: a tenth of them are Rego.
//
//	go test ./rules -run '^$' -bench BenchmarkChangeAmong -benchmem -count 6 | benchstat -
func BenchmarkChangeAmong(b *testing.B) {
	for _, kind := range []string{"structured", "mixed"} {
		for _, n := range []int{100, 1000, 10000} {
			b.Run(fmt.Sprintf("%s=%d", kind, n), func(b *testing.B) {
				o := rules.Options{Builtin: true}
				for i := range n {
					id := fmt.Sprintf("p%05d", i)
					text := small(id, i)
					if kind == "mixed" && i%10 == 9 && i < 1000 {
						text = fmt.Sprintf("package policies.%s\n\nallow contains \"r\" if {\n\tinput.subject.properties.role == \"role%d\"\n\tinput.action.name == \"read\"\n}\n", id, i)
					}
					o.Extra = append(o.Extra, stored(id, text))
				}
				ld := rules.NewLoader()
				if _, err := ld.Load(b.Context(), o); err != nil {
					b.Fatal(err)
				}
				b.ReportAllocs()
				start := cpuTime()
				defer func() { b.ReportMetric(float64((cpuTime()-start).Microseconds())/1000/float64(b.N), "cpu_ms/op") }()
				for i := 0; b.Loop(); i++ {
					k := (i * 7) % n
					if o.Extra[k].Form != rules.FormStructured {
						k--
					}
					o.Extra[k] = stored(o.Extra[k].ID, small(o.Extra[k].ID, i+n))
					if _, err := ld.Load(b.Context(), o); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkLoadPolicies loads many policies of one rule from nothing, and says what stays in memory of each.
//
//	go test ./rules -run '^$' -bench BenchmarkLoadPolicies -benchmem -count 3
func BenchmarkLoadPolicies(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		b.Run(fmt.Sprintf("structured=%d", n), func(b *testing.B) {
			o := rules.Options{Builtin: true}
			for i := range n {
				id := fmt.Sprintf("p%05d", i)
				o.Extra = append(o.Extra, stored(id, small(id, i)))
			}
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			var ld *rules.Loader
			var set *rules.Set
			start := cpuTime()
			defer func() { b.ReportMetric(float64((cpuTime()-start).Microseconds())/1000/float64(b.N), "cpu_ms/op") }()
			for b.Loop() {
				ld = rules.NewLoader()
				var err error
				if set, err = ld.Load(b.Context(), o); err != nil {
					b.Fatal(err)
				}
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(n), "held_B/policy")
			runtime.KeepAlive(set)
			runtime.KeepAlive(ld)
		})
	}
}

// cpuTime is what this process took of the processors, on which others work too.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
