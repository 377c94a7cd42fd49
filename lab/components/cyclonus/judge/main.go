// Lets cyclonus judge a cluster: its generator, its simulator and its prober, with all probes of a pod in one exec. Its own
// command line starts a program in a container for each single probe, which takes five times as long; the code for
// batches is there, but no flag asks for it.
//
// In a batch a probe that came to nothing is tried once more. What is open and should not be is found by the first try,
// and a packet that was lost is no finding.
package main

import (
	"flag"
	"fmt"
	"log"
	"strings"

	"github.com/mattfenwick/cyclonus/pkg/connectivity"
	"github.com/mattfenwick/cyclonus/pkg/connectivity/probe"
	"github.com/mattfenwick/cyclonus/pkg/generator"
	"github.com/mattfenwick/cyclonus/pkg/kube"
	v1 "k8s.io/api/core/v1"
)

// The tags that `cyclonus generate` leaves out if nobody says otherwise.
var leftOut = []string{generator.TagMultiPeer, generator.TagUpstreamE2E, generator.TagExample, generator.TagEndPort,
	generator.TagNamespacesByDefaultLabel}

var namespaces = []string{"x", "y", "z"}

func tags(given string) []string {
	if given == "" {
		return []string{}
	}
	all := strings.Split(given, ",")
	if err := generator.ValidateTags(all); err != nil {
		log.Fatal(err)
	}
	return all
}

func main() {
	include := flag.String("include", "", "only cases with one of these tags")
	exclude := flag.String("exclude", strings.Join(leftOut, ","), "no cases with one of these tags")
	junit := flag.String("junit", "", "file for the results")
	plan := flag.Bool("plan", false, "say how many cases there are, and ask no cluster")
	flag.Parse()
	chosen, unwanted := tags(*include), tags(*exclude)

	if *plan {
		fmt.Printf("testing %d cases\n", len(generator.NewTestCaseGenerator(true, "192.0.2.1", namespaces, chosen, unwanted).GenerateTestCases()))
		return
	}
	cluster, err := kube.NewKubernetesForContext("")
	if err != nil {
		log.Fatal(err)
	}
	// SCTP is left out: few kernels load it.
	protocols := []v1.Protocol{v1.ProtocolTCP, v1.ProtocolUDP}
	resources, err := probe.NewDefaultResources(cluster, namespaces, []string{"a", "b", "c"}, []int{80, 81}, protocols,
		[]string{}, 120, true, "registry.k8s.io")
	if err != nil {
		log.Fatal(err)
	}
	// No second try of a whole step: it would hide what went wrong at the first.
	interpreter := connectivity.NewInterpreter(cluster, resources, &connectivity.InterpreterConfig{
		ResetClusterBeforeTestCase:       true,
		VerifyClusterStateBeforeTestCase: true,
		PerturbationWaitSeconds:          1,
		BatchJobs:                        true,
	})
	printer := &connectivity.Printer{JunitResultsFile: *junit}
	pod, err := resources.GetPod("z", "c")
	if err != nil {
		log.Fatal(err)
	}
	for number, testCase := range generator.NewTestCaseGenerator(true, pod.IP, namespaces, chosen, unwanted).GenerateTestCases() {
		result := interpreter.ExecuteTestCase(testCase)
		if result.Err != nil {
			log.Fatal(result.Err)
		}
		printer.PrintTestCaseResult(result)
		fmt.Printf("finished policy #%d\n", number+1)
	}
	printer.PrintSummary()
	for _, namespace := range namespaces {
		if err := cluster.DeleteNamespace(namespace); err != nil {
			log.Fatal(err)
		}
	}
}
