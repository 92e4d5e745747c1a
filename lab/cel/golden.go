// Evaluates expressions with the API server's own CEL environment and writes what they give and cost.
//
// Arguments: a file with one expression per line ('#' begins a comment), a JSON file with the value
// of `object`. Output: one JSON line per expression. Run by lab/cel-golden.sh.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"sort"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/apiserver/pkg/cel/library"
)

// outcome is one line of the output.
type outcome struct {
	Expression string `json:"expression"`
	// Outcome is "value", "error" or "refused".
	Outcome string `json:"outcome"`
	Value   string `json:"value,omitempty"`
	Detail  string `json:"detail,omitempty"`
	Cost    uint64 `json:"cost"`
}

// rules allows reading and fails for "broken".
type rules struct{}

func (rules) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	if a.GetResource() == "broken" {
		return authorizer.DecisionNoOpinion, "", fmt.Errorf("broken")
	}
	if a.GetVerb() == "get" && (a.GetUser().GetName() == "alice" || a.GetNamespace() == "default") {
		return authorizer.DecisionAllow, "may read", nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}

func main() {
	var object any
	data, err := os.ReadFile(os.Args[2])
	check(err)
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.UseNumber()
	check(decoder.Decode(&object))
	object = numbers(object)

	set, err := environment.MustBaseEnvSet(version.MajorMinor(1, 34), true).Extend(environment.VersionedOptions{
		IntroducedVersion: version.MajorMinor(1, 0),
		EnvOptions: []cel.EnvOption{
			cel.Variable("object", cel.DynType),
			cel.Variable("authorizer", library.AuthorizerType),
		},
	})
	check(err)
	env, err := set.Env(environment.StoredExpressions)
	check(err)
	alice := &user.DefaultInfo{Name: "alice"}
	variables := map[string]any{"object": object, "authorizer": library.NewAuthorizerVal(alice, rules{})}

	file, err := os.Open(os.Args[1])
	check(err)
	lines := bufio.NewScanner(file)
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	for lines.Scan() {
		expression := strings.TrimSpace(lines.Text())
		if expression == "" || strings.HasPrefix(expression, "#") {
			continue
		}
		check(out.Encode(run(env, expression, variables)))
	}
	check(lines.Err())
}

func run(env *cel.Env, expression string, variables map[string]any) (result outcome) {
	// A few expressions crash the evaluator; the API server answers them as failed.
	defer func() {
		if crash := recover(); crash != nil {
			result = outcome{Expression: expression, Outcome: "error", Detail: fmt.Sprint(crash)}
		}
	}()
	ast, issues := env.Compile(expression)
	if issues != nil {
		return outcome{Expression: expression, Outcome: "refused", Detail: first(issues.Err().Error())}
	}
	program, err := env.Program(ast)
	if err != nil {
		return outcome{Expression: expression, Outcome: "refused", Detail: first(err.Error())}
	}
	value, details, err := program.Eval(variables)
	var cost uint64
	if details != nil && details.ActualCost() != nil {
		cost = *details.ActualCost()
	}
	if err != nil {
		return outcome{Expression: expression, Outcome: "error", Detail: first(err.Error()), Cost: cost}
	}
	return outcome{Expression: expression, Outcome: "value", Value: show(value), Cost: cost}
}

func first(text string) string {
	return strings.SplitN(text, "\n", 2)[0]
}

// show writes a value so that two implementations can be compared.
func show(value ref.Val) string {
	switch v := value.(type) {
	case types.Null:
		return "null"
	case types.Bool:
		return fmt.Sprint(bool(v))
	case types.Int:
		return fmt.Sprint(int64(v))
	case types.Uint:
		return fmt.Sprintf("%du", uint64(v))
	case types.Double:
		return fmt.Sprintf("double(%016x)", math.Float64bits(float64(v)))
	case types.String:
		return fmt.Sprintf("%x", string(v)) + "s"
	case types.Bytes:
		return fmt.Sprintf("%x", []byte(v)) + "b"
	case types.Timestamp:
		return fmt.Sprintf("timestamp(%d.%09d)", v.Unix(), v.Nanosecond())
	case types.Duration:
		return fmt.Sprintf("duration(%d)", v.Nanoseconds())
	case *types.Type:
		return "type(" + v.TypeName() + ")"
	case *types.Optional:
		if v.HasValue() {
			return "some(" + show(v.GetValue()) + ")"
		}
		return "none"
	case apiservercel.IP:
		return "ip(" + v.Addr.String() + ")"
	case apiservercel.CIDR:
		return "cidr(" + v.Prefix.String() + ")"
	case traits.Lister:
		var parts []string
		for it := v.Iterator(); it.HasNext() == types.True; {
			parts = append(parts, show(it.Next()))
		}
		return "[" + strings.Join(parts, ",") + "]"
	case traits.Mapper:
		var parts []string
		for it := v.Iterator(); it.HasNext() == types.True; {
			key := it.Next()
			parts = append(parts, show(key)+":"+show(v.Get(key)))
		}
		sort.Strings(parts)
		return "{" + strings.Join(parts, ",") + "}"
	default:
		return value.Type().TypeName()
	}
}

// numbers makes whole numbers int64 and others float64, as unstructured objects have them.
func numbers(value any) any {
	switch v := value.(type) {
	case json.Number:
		if whole, err := v.Int64(); err == nil {
			return whole
		}
		double, err := v.Float64()
		check(err)
		return double
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = numbers(v[k])
		}
	}
	return value
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
