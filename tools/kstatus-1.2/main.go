// kstatus tells how Flux sees objects: by kstatus' own rules, which `wait: true` goes by, and by the healthCheckExprs of
// Flux Kustomizations. The tests of ackbox ask it, so that what they know of Flux is Flux's own code.
//
// It reads {"flux": [...], "objects": [...]} from standard input and writes, for each object, {"kstatus": {...}} and,
// where a Kustomization has expressions for its kind, {"expressions": {...}}. Flux's own objects are read strictly: a
// field that Flux doesn't know is an error.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/runtime/cel"
	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

type question struct {
	Flux    []json.RawMessage            `json:"flux"`
	Objects []*unstructured.Unstructured `json:"objects"`
}

type verdict struct {
	Status  status.Status `json:"status"`
	Message string        `json:"message,omitempty"`
}

type answer struct {
	Kstatus     verdict  `json:"kstatus"`
	Expressions *verdict `json:"expressions,omitempty"`
}

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(input io.Reader, output io.Writer) error {
	var asked question
	if err := json.NewDecoder(input).Decode(&asked); err != nil {
		return fmt.Errorf("standard input: %w", err)
	}
	evaluators, err := readFlux(asked.Flux)
	if err != nil {
		return err
	}
	answers := make([]answer, 0, len(asked.Objects))
	for _, object := range asked.Objects {
		found, err := judge(object, evaluators[object.GroupVersionKind()])
		if err != nil {
			return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
		answers = append(answers, found)
	}
	return json.NewEncoder(output).Encode(answers)
}

// readFlux returns the evaluators of all Kustomizations by the kind that they are for.
func readFlux(objects []json.RawMessage) (map[schema.GroupVersionKind]*cel.StatusEvaluator, error) {
	evaluators := map[schema.GroupVersionKind]*cel.StatusEvaluator{}
	for _, raw := range objects {
		var read struct {
			APIVersion string `json:"apiVersion"`
			Kind       string `json:"kind"`
		}
		if err := json.Unmarshal(raw, &read); err != nil {
			return nil, err
		}
		kind := schema.FromAPIVersionAndKind(read.APIVersion, read.Kind)
		switch kind {
		case sourcev1.GroupVersion.WithKind("GitRepository"):
			if err := strictly(raw, &sourcev1.GitRepository{}); err != nil {
				return nil, fmt.Errorf("GitRepository: %w", err)
			}
		case kustomizev1.GroupVersion.WithKind("Kustomization"):
			var kustomization kustomizev1.Kustomization
			if err := strictly(raw, &kustomization); err != nil {
				return nil, fmt.Errorf("Kustomization: %w", err)
			}
			for _, custom := range kustomization.Spec.HealthCheckExprs {
				evaluator, err := cel.NewStatusEvaluator(&custom.HealthCheckExpressions)
				if err != nil {
					return nil, fmt.Errorf("Kustomization %s, expressions of %s: %w", kustomization.Name, custom.Kind, err)
				}
				evaluators[schema.FromAPIVersionAndKind(custom.APIVersion, custom.Kind)] = evaluator
			}
		default:
			return nil, fmt.Errorf("%s is no kind that is read here", kind)
		}
	}
	return evaluators, nil
}

func strictly(raw json.RawMessage, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	return decoder.Decode(into)
}

func judge(object *unstructured.Unstructured, evaluator *cel.StatusEvaluator) (answer, error) {
	computed, err := status.Compute(object)
	if err != nil {
		return answer{}, fmt.Errorf("kstatus: %w", err)
	}
	found := answer{Kstatus: verdict{computed.Status, computed.Message}}
	if evaluator == nil {
		return found, nil
	}
	evaluated, err := evaluator.Evaluate(context.Background(), object)
	if err != nil {
		return answer{}, fmt.Errorf("healthCheckExprs: %w", err)
	}
	found.Expressions = &verdict{Status: evaluated.Status}
	return found, nil
}
