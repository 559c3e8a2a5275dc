package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
)

// said is what a program prints.
func said(name string, args ...string) string {
	text, err := exec.Command(name, args...).CombinedOutput()
	if err != nil && len(text) == 0 {
		return "not known (" + err.Error() + ")"
	}
	return strings.TrimSpace(string(text))
}

// machine says where and with what.
func (s *settings) machine() (m [][2]string) {
	add := func(name, value string) { m = append(m, [2]string{name, value}) }
	field := func(file, key string) string {
		text, _ := os.ReadFile(file)
		for line := range strings.SplitSeq(string(text), "\n") {
			if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == key {
				return strings.TrimSpace(v)
			}
		}
		return "not known"
	}
	add("processor", fmt.Sprintf("%s, %d of them, shared by servers and generator", field("/proc/cpuinfo", "model name"), runtime.NumCPU()))
	add("memory", field("/proc/meminfo", "MemTotal"))
	add("kernel", said("uname", "-sr"))
	add("Go", runtime.Version())
	version, _, _ := strings.Cut(said(s.thymus, "version"), "\n")
	if commit, err := exec.Command("git", "rev-parse", "--short=12", "HEAD").Output(); err == nil {
		version += ", commit " + strings.TrimSpace(string(commit))
		if dirty, err := exec.Command("git", "status", "--porcelain", "--untracked-files=no").Output(); err == nil && len(dirty) > 0 {
			version += " and changes that are not committed"
		}
	}
	add("Thymus", version)
	first, _, _ := strings.Cut(said(s.opa, "version"), "\n")
	add("OPA", strings.TrimPrefix(first, "Version: "))
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			if name, ok := map[string]string{"github.com/cedar-policy/cedar-go": "cedar-go", "github.com/casbin/casbin/v2": "Casbin",
				"github.com/valyala/fasthttp": "fasthttp", "google.golang.org/grpc": "grpc-go"}[d.Path]; ok {
				add(name, d.Version)
			}
		}
	}
	line, _, _ := strings.Cut(said(s.wrk, "-v"), "\n")
	if line, _, _ = strings.Cut(line, " ["); strings.HasPrefix(line, "wrk") {
		add("wrk", strings.TrimPrefix(line, "wrk "))
	}
	if jars, _ := filepath.Glob(filepath.Join(s.kafka, "kafka_2.13-*.jar")); s.kafka != "" && len(jars) > 0 {
		add("Apache Kafka", strings.TrimSuffix(strings.TrimPrefix(filepath.Base(jars[0]), "kafka_2.13-"), ".jar"))
	}
	return m
}

// again is the command that runs this again.
func (s *settings) again() string {
	var args []string
	add := func(name string, value, usual any) {
		if value != usual {
			args = append(args, fmt.Sprintf("--%s %v", name, value))
		}
	}
	add("cases", s.cases, usual)
	add("only", s.only, "")
	add("rounds", s.rounds, usualRounds)
	add("connections", s.connections, usualConnections)
	add("duration", s.duration, usualDuration)
	add("warmup", s.warmup, usualWarmup)
	add("requests", s.requests, usualRequests)
	add("extras", s.extras, true)
	if len(args) == 0 {
		return "make bench-report"
	}
	return fmt.Sprintf("make bench-report ARGS=%q", strings.ReplaceAll(strings.Join(args, " "), "--extras false", "--extras=false"))
}
