package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/operator-framework/api/pkg/apis/scorecard/v1alpha3"
	"github.com/operator-framework/api/pkg/manifests"
	"github.com/operator-framework/api/pkg/validation"
	interfaces "github.com/operator-framework/api/pkg/validation/interfaces"
	"sigs.k8s.io/yaml"
)

// validators are those of the library for bundles, the optional ones included. Left out are the one of the community's repository, which
// the library calls deprecated in favour of another program, and the one of architectures: it pulls images with a container engine.
var validators = interfaces.Validators{
	validation.ClusterServiceVersionValidator, validation.CustomResourceDefinitionValidator, validation.BundleValidator,
	validation.OperatorHubV2Validator, validation.StandardCategoriesValidator, validation.StandardCapabilitiesValidator,
	validation.ObjectValidator, validation.AlphaDeprecatedAPIsValidator, validation.GoodPracticesValidator,
}

// meant are warnings that are so on purpose, by a part of their text, with the reason.
var meant = map[string]string{
	"contains permissions to create CRD": "the charts of network plugins carry definitions, and installing them is what the operator is for; " +
		"none of them is one that the bundle owns",
	"Kind=NetworkComponent: provided API should have an example annotation": "the operator writes it; an example would ask users to",
	"Migrate the API(s) for podsecuritypolicies": "Consul's chart has this rule in a role of its own on every version of Kubernetes, and nobody may " +
		"give a permission that he lacks; nothing of that API is used",
}

// validateBundle fails with all errors, and with the warnings that are not meant.
func validateBundle(dir string, out io.Writer) error {
	bundle, err := manifests.GetBundleFromDir(dir)
	if err != nil {
		return err
	}
	var all []error
	for _, result := range validators.Validate(bundle.ObjectsToValidate()...) {
		for _, e := range result.Errors {
			all = append(all, e)
		}
		for _, w := range result.Warnings {
			if why := reason(w.Error()); why != "" {
				fmt.Fprintf(out, "%s\n  meant: %s\n", w.Error(), why)
				continue
			}
			all = append(all, w)
		}
	}
	return errors.Join(errors.Join(all...), checkScorecard(filepath.Join(dir, "tests", "scorecard", "config.yaml")))
}

func reason(warning string) string {
	for part, why := range meant {
		if strings.Contains(warning, part) {
			return why
		}
	}
	return ""
}

// scorecardTests are the suites that operator-sdk's own image has, with their tests.
var scorecardTests = map[string][]string{
	"basic": {"basic-check-spec"},
	"olm":   {"olm-bundle-validation", "olm-crds-have-validation", "olm-crds-have-resources", "olm-spec-descriptors", "olm-status-descriptors"},
}

// checkScorecard wants a configuration as operator-sdk reads it, with all tests of both suites, each once.
func checkScorecard(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var c v1alpha3.Configuration
	if err := yaml.UnmarshalStrict(data, &c); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	var all []error
	if c.APIVersion != "scorecard.operatorframework.io/v1alpha3" || c.Kind != "Configuration" || c.Metadata.Name != "config" {
		all = append(all, fmt.Errorf("%s is a %s %s with name %q", file, c.APIVersion, c.Kind, c.Metadata.Name))
	}
	want := map[string]bool{}
	for suite, tests := range scorecardTests {
		for _, test := range tests {
			want[suite+"/"+test] = true
		}
	}
	for _, stage := range c.Stages {
		for _, test := range stage.Tests {
			runs := strings.TrimSuffix(test.Labels["test"], "-test")
			name := test.Labels["suite"] + "/" + runs
			if !want[name] {
				all = append(all, fmt.Errorf("%s: there is no test %s, or it is there twice", file, name))
			}
			delete(want, name)
			if test.Image == "" || !slices.Equal(test.Entrypoint, []string{"scorecard-test", runs}) {
				all = append(all, fmt.Errorf("%s: %s runs %v of image %q", file, name, test.Entrypoint, test.Image))
			}
		}
	}
	for name := range want {
		all = append(all, fmt.Errorf("%s: test %s is missing", file, name))
	}
	return errors.Join(all...)
}
