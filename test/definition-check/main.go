// Judges CustomResourceDefinitions by the code of Kubernetes' own API server: structure, defaults, and what its rules may cost.
// Reads a List as JSON, prints a line a mistake, exits with 1 where there are any.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
)

func main() {
	var list struct{ Items []v1.CustomResourceDefinition }
	if err := json.NewDecoder(os.Stdin).Decode(&list); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	mistakes := 0
	for i := range list.Items {
		definition := &list.Items[i]
		v1.SetDefaults_CustomResourceDefinition(definition)
		v1.SetDefaults_CustomResourceDefinitionSpec(&definition.Spec)
		for _, version := range definition.Spec.Versions {
			if version.Storage {
				definition.Status.StoredVersions = []string{version.Name}
			}
		}
		var internal apiextensions.CustomResourceDefinition
		if err := v1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(definition, &internal, nil); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		for _, mistake := range validation.ValidateCustomResourceDefinition(context.Background(), &internal) {
			mistakes++
			fmt.Println(definition.Name, mistake)
		}
	}
	fmt.Println(len(list.Items), "definitions,", mistakes, "mistakes")
	if mistakes > 0 {
		os.Exit(1)
	}
}
