// Kubernetes' own judgement of pods, for tests to compare with.
//
// Each line of the input is a level, a version and a pod's JSON, with one space between; each line of
// the output the ids of the checks that the pod fails, with spaces between, "-" for none, or "error:"
// and why the pod cannot be read.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/json"
)

func main() {
	evaluator, err := policy.NewEvaluator(named(policy.DefaultChecks()), nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	input := bufio.NewScanner(os.Stdin)
	input.Buffer(make([]byte, 1<<16), 1<<24)
	output := bufio.NewWriter(os.Stdout)
	defer output.Flush()
	for input.Scan() {
		fmt.Fprintln(output, judge(evaluator, input.Text()))
	}
	if err := input.Err(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// A failed check gives its id as the reason: the evaluator's results carry none.
func named(checks []policy.Check) []policy.Check {
	for i := range checks {
		id := string(checks[i].ID)
		for j := range checks[i].Versions {
			check := checks[i].Versions[j].CheckPod
			checks[i].Versions[j].CheckPod = func(metadata *metav1.ObjectMeta, spec *corev1.PodSpec) policy.CheckResult {
				result := check(metadata, spec)
				if !result.Allowed {
					result.ForbiddenReason = id
				}
				return result
			}
		}
	}
	return checks
}

func judge(evaluator policy.Evaluator, line string) string {
	words := strings.SplitN(line, " ", 3)
	if len(words) != 3 {
		return "error: a line is LEVEL VERSION POD"
	}
	level, err := api.ParseLevel(words[0])
	if err != nil {
		return "error: " + err.Error()
	}
	version, err := api.ParseVersion(words[1])
	if err != nil {
		return "error: " + err.Error()
	}
	var pod corev1.Pod
	if err := json.UnmarshalCaseSensitivePreserveInts([]byte(words[2]), &pod); err != nil {
		return "error: " + strings.ReplaceAll(err.Error(), "\n", " ")
	}
	var failed []string
	for _, result := range evaluator.EvaluatePod(api.LevelVersion{Level: level, Version: version}, &pod.ObjectMeta, &pod.Spec) {
		if !result.Allowed {
			failed = append(failed, result.ForbiddenReason)
		}
	}
	if len(failed) == 0 {
		return "-"
	}
	return strings.Join(failed, " ")
}
