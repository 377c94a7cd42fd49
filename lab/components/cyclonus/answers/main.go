// Writes down what cyclonus asks and what its simulator answers: every case that its generator knows, the state of the
// cluster after each step, and who reaches whom there. Nothing is sent anywhere.
//
// The record is test data of the harness: see tests/fixtures/cyclonus/README.md.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"
	"sort"
	"strings"

	"github.com/mattfenwick/cyclonus/pkg/connectivity/probe"
	"github.com/mattfenwick/cyclonus/pkg/generator"
	"github.com/mattfenwick/cyclonus/pkg/matcher"
	"github.com/sirupsen/logrus"
	v1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// The tags that `cyclonus generate` leaves out if nobody says otherwise.
var leftOut = []string{generator.TagMultiPeer, generator.TagUpstreamE2E, generator.TagExample, generator.TagEndPort,
	generator.TagNamespacesByDefaultLabel}

type pod struct {
	Place  string            `json:"place"`
	Labels map[string]string `json:"labels"`
	IP     string            `json:"ip"`
}

type state struct {
	Namespaces map[string]map[string]string `json:"namespaces"`
	Pods       []pod                        `json:"pods"`
}

type step struct {
	Actions  []string `json:"actions"`
	State    int      `json:"state"`
	Policies []int    `json:"policies"`
	// By port and protocol, the number of a table.
	Tables map[string]int `json:"tables"`
}

type testCase struct {
	Description string   `json:"description"`
	Tags        []string `json:"tags"`
	Default     bool     `json:"default"`
	Steps       []step   `json:"steps"`
}

type record struct {
	Version  string                        `json:"version"`
	Ports    []int                         `json:"ports"`
	States   []state                       `json:"states"`
	Policies []*networkingv1.NetworkPolicy `json:"policies"`
	// One row a source, one column a destination, in the order of the state's pods: "." passes, "i" is stopped on
	// its way in, "e" on its way out, "b" on both.
	Tables [][]string `json:"tables"`
	Cases  []testCase `json:"cases"`
}

// Numbers things by their content.
type numbers struct {
	known map[string]int
}

func (n *numbers) of(thing any) (int, bool) {
	text, err := json.Marshal(thing)
	must(err)
	if number, ok := n.known[string(text)]; ok {
		return number, false
	}
	if n.known == nil {
		n.known = map[string]int{}
	}
	number := len(n.known)
	n.known[string(text)] = number
	return number, true
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// Three namespaces with three pods. Those of a block of 16 addresses and of one of 256, which cyclonus draws around
// z/c, lie inside and outside, so that blocks and their exceptions tell pods apart.
var addresses = map[string]string{
	"x/a": "192.0.2.1", "x/b": "192.0.2.66", "x/c": "198.51.100.3",
	"y/a": "192.0.2.65", "y/b": "198.51.100.1", "y/c": "192.0.2.3",
	"z/a": "198.51.100.2", "z/b": "192.0.2.2", "z/c": "192.0.2.67",
	// Those that a case creates.
	"x/d": "192.0.2.68", "y-2/a": "192.0.2.4", "y-2/b": "192.0.2.69", "w/a": "192.0.2.5",
}

var ports = []int{80, 81}

func start() *probe.Resources {
	resources := &probe.Resources{Namespaces: map[string]map[string]string{}}
	protocols := []v1.Protocol{v1.ProtocolTCP, v1.ProtocolUDP, v1.ProtocolSCTP}
	for _, namespace := range []string{"x", "y", "z"} {
		resources.Namespaces[namespace] = map[string]string{"ns": namespace, "kubernetes.io/metadata.name": namespace}
		for _, name := range []string{"a", "b", "c"} {
			made := probe.NewDefaultPod(namespace, name, ports, protocols, false, "")
			made.IP = addresses[namespace+"/"+name]
			resources.Pods = append(resources.Pods, made)
		}
	}
	return resources
}

func apply(resources *probe.Resources, policies []*networkingv1.NetworkPolicy, action *generator.Action) (
	*probe.Resources, []*networkingv1.NetworkPolicy, string) {
	without := func(namespace, name string) []*networkingv1.NetworkPolicy {
		var kept []*networkingv1.NetworkPolicy
		for _, policy := range policies {
			if policy.Namespace != namespace || policy.Name != name {
				kept = append(kept, policy)
			}
		}
		return kept
	}
	var err error
	var what string
	switch {
	case action.CreatePolicy != nil:
		policy := action.CreatePolicy.Policy
		policies, what = append(policies, policy), "create policy "+policy.Namespace+"/"+policy.Name
	case action.UpdatePolicy != nil:
		policy := action.UpdatePolicy.Policy
		policies = append(without(policy.Namespace, policy.Name), policy)
		what = "update policy " + policy.Namespace + "/" + policy.Name
	case action.DeletePolicy != nil:
		it := action.DeletePolicy
		policies, what = without(it.Namespace, it.Name), "delete policy "+it.Namespace+"/"+it.Name
	case action.CreateNamespace != nil:
		it := action.CreateNamespace
		resources, err = resources.CreateNamespace(it.Namespace, it.Labels)
		what = "create namespace " + it.Namespace
	case action.SetNamespaceLabels != nil:
		it := action.SetNamespaceLabels
		resources, err = resources.UpdateNamespaceLabels(it.Namespace, it.Labels)
		what = "label namespace " + it.Namespace
	case action.DeleteNamespace != nil:
		resources, err = resources.DeleteNamespace(action.DeleteNamespace.Namespace)
		what = "delete namespace " + action.DeleteNamespace.Namespace
	case action.CreatePod != nil:
		it := action.CreatePod
		resources, err = resources.CreatePod(it.Namespace, it.Pod, it.Labels)
		must(err)
		made, missing := resources.GetPod(it.Namespace, it.Pod)
		must(missing)
		address, known := addresses[it.Namespace+"/"+it.Pod]
		if !known {
			err = fmt.Errorf("no address is set aside for the pod %s/%s", it.Namespace, it.Pod)
		}
		made.IP = address
		what = "create pod " + it.Namespace + "/" + it.Pod
	case action.SetPodLabels != nil:
		it := action.SetPodLabels
		resources, err = resources.SetPodLabels(it.Namespace, it.Pod, it.Labels)
		what = "label pod " + it.Namespace + "/" + it.Pod
	case action.DeletePod != nil:
		it := action.DeletePod
		resources, err = resources.DeletePod(it.Namespace, it.Pod)
		what = "delete pod " + it.Namespace + "/" + it.Pod
	case action.ReadNetworkPolicies != nil:
		what = "read policies"
	default:
		err = fmt.Errorf("an action that this program does not know: %+v", action)
	}
	must(err)
	return resources, policies, what
}

func written(resources *probe.Resources) state {
	made := state{Namespaces: resources.Namespaces}
	for _, it := range resources.Pods {
		made.Pods = append(made.Pods, pod{Place: it.Namespace + "/" + it.Name, Labels: it.Labels, IP: it.IP})
	}
	sort.Slice(made.Pods, func(i, j int) bool { return made.Pods[i].Place < made.Pods[j].Place })
	return made
}

func symbol(result *probe.JobResult) string {
	stopped := func(way *probe.Connectivity) bool { return way == nil || *way != probe.ConnectivityAllowed }
	in, out := stopped(result.Ingress), stopped(result.Egress)
	if result.Combined != probe.ConnectivityAllowed && result.Combined != probe.ConnectivityBlocked {
		must(fmt.Errorf("an answer that is none: %v", result.Combined))
	}
	switch {
	case in && out:
		return "b"
	case in:
		return "i"
	case out:
		return "e"
	}
	return "."
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if module.Path == "github.com/mattfenwick/cyclonus" {
				return module.Version
			}
		}
	}
	return "unknown"
}

func main() {
	logrus.SetLevel(logrus.ErrorLevel)
	var statesSeen, policiesSeen, tablesSeen numbers
	made := record{Version: version(), Ports: ports}
	zc := addresses["z/c"]
	all := generator.NewTestCaseGenerator(true, zc, []string{"x", "y", "z"}, nil, nil).GenerateTestCases()
	for _, it := range all {
		tags := it.Tags.Keys()
		sort.Strings(tags)
		one := testCase{Description: it.Description, Tags: tags, Default: !it.Tags.ContainsAny(leftOut)}
		resources, policies := start(), []*networkingv1.NetworkPolicy(nil)
		for _, given := range it.Steps {
			after := step{Actions: []string{}, Policies: []int{}, Tables: map[string]int{}}
			for _, action := range given.Actions {
				var what string
				resources, policies, what = apply(resources, policies, action)
				after.Actions = append(after.Actions, what)
			}
			number, fresh := statesSeen.of(written(resources))
			if fresh {
				made.States = append(made.States, written(resources))
			}
			after.State = number
			for _, policy := range policies {
				number, fresh := policiesSeen.of(policy)
				if fresh {
					made.Policies = append(made.Policies, policy)
				}
				after.Policies = append(after.Policies, number)
			}
			// The same two lines by which cyclonus itself makes what it expects.
			runner := probe.NewSimulatedRunner(matcher.BuildNetworkPolicies(true, policies), &probe.JobBuilder{})
			table := runner.RunProbeForConfig(given.Probe, resources)
			rows := map[string][]string{}
			for _, from := range resources.SortedPodNames() {
				line := map[string]*strings.Builder{}
				for _, to := range resources.SortedPodNames() {
					for key, result := range table.Get(from, to).JobResults {
						if line[key] == nil {
							line[key] = &strings.Builder{}
						}
						line[key].WriteString(symbol(result))
					}
				}
				for key, text := range line {
					rows[key] = append(rows[key], text.String())
				}
			}
			for key, table := range rows {
				number, fresh := tablesSeen.of(table)
				if fresh {
					made.Tables = append(made.Tables, table)
				}
				after.Tables[key] = number
			}
			one.Steps = append(one.Steps, after)
		}
		made.Cases = append(made.Cases, one)
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	must(encoder.Encode(made))
}
