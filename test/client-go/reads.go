package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/pager"
)

// custom NAMESPACE GROUP VERSION KIND: objects of a CustomResourceDefinition, found by the RESTMapper. spec.size is an
// integer, by default 1.
func custom(ctx context.Context, config *rest.Config, args []string) error {
	known, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return err
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(known))
	kind := schema.GroupKind{Group: args[1], Kind: args[3]}
	mapping, err := mapper.RESTMapping(kind, args[2])
	if err != nil {
		return err
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	objects := client.Resource(mapping.Resource).Namespace(args[0])
	draft := func(spec map[string]any) *unstructured.Unstructured {
		object := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
		object.SetGroupVersionKind(kind.WithVersion(args[2]))
		object.SetName("one")
		return object
	}
	changes, err := objects.Watch(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	defer changes.Stop()
	made, err := objects.Create(ctx, draft(map[string]any{"unknown": "x"}), metav1.CreateOptions{})
	if err != nil {
		return err
	}
	spec, _, _ := unstructured.NestedMap(made.Object, "spec")
	if err = want("spec with its default, without what is unknown", spec, map[string]any{"size": int64(1)}); err != nil {
		return err
	}
	seen := <-changes.ResultChan()
	if err = want("the first event", seen.Type, watch.Added); err != nil {
		return err
	}
	if _, err = objects.Apply(ctx, "one", draft(map[string]any{"size": int64(2)}), metav1.ApplyOptions{FieldManager: "a", Force: true}); err != nil {
		return err
	}
	_, err = objects.Apply(ctx, "one", draft(map[string]any{"size": int64(3)}), metav1.ApplyOptions{FieldManager: "b"})
	if !apierrors.IsConflict(err) {
		return fmt.Errorf("a size of another manager: %v", err)
	}
	wrong := draft(map[string]any{"size": "large"})
	wrong.SetName("two")
	if _, err = objects.Create(ctx, wrong, metav1.CreateOptions{}); !apierrors.IsInvalid(err) {
		return fmt.Errorf("a size of the wrong type: %v", err)
	}
	return objects.Delete(ctx, "one", metav1.DeleteOptions{})
}

// discover: groups and resources, in one answer for all and group by group; both versions of OpenAPI.
func discover(_ context.Context, config *rest.Config, _ []string) error {
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return err
	}
	names := func(use func() ([]*metav1.APIGroup, []*metav1.APIResourceList, error)) ([]string, error) {
		_, lists, err := use()
		if err != nil {
			return nil, err
		}
		all := []string{}
		for _, list := range lists {
			for _, r := range list.APIResources {
				slices.Sort(r.Verbs)
				// The client gives subresources the name of their resource in one of the forms.
				if strings.Contains(r.Name, "/") {
					r.SingularName = ""
				}
				all = append(all, fmt.Sprint(list.GroupVersion, r.Name, r.Kind, r.Namespaced, r.SingularName, r.ShortNames, r.Verbs))
			}
		}
		slices.Sort(all)
		return all, nil
	}
	together, err := names(client.ServerGroupsAndResources)
	if err != nil {
		return err
	}
	apart, err := names(client.WithLegacy().(*discovery.DiscoveryClient).ServerGroupsAndResources)
	if err != nil {
		return err
	}
	if err = want("resources group by group", apart, together); err != nil {
		return err
	}
	if len(together) < 50 {
		return fmt.Errorf("only %d resources", len(together))
	}
	document, err := client.OpenAPISchema()
	if err != nil {
		return fmt.Errorf("OpenAPI v2: %w", err)
	}
	found := false
	for _, d := range document.GetDefinitions().GetAdditionalProperties() {
		found = found || d.GetName() == "io.k8s.api.apps.v1.Deployment"
	}
	if err = want("the definition of Deployment", found, true); err != nil {
		return err
	}
	paths, err := client.OpenAPIV3().Paths()
	if err != nil {
		return err
	}
	if paths["apis/apps/v1"] == nil {
		return fmt.Errorf("OpenAPI v3 has no apis/apps/v1")
	}
	_, err = paths["apis/apps/v1"].Schema(runtime.ContentTypeJSON)
	return err
}

// pages NAMESPACE COUNT: ConfigMaps in pages of 7.
func pages(ctx context.Context, config *rest.Config, args []string) error {
	client, err := kubernetes.NewForConfig(inProtobuf(config))
	if err != nil {
		return err
	}
	maps := client.CoreV1().ConfigMaps(args[0])
	requests := 0
	all := pager.New(func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
		requests++
		return maps.List(ctx, options)
	})
	all.PageSize = 7
	names := map[string]bool{}
	err = all.EachListItem(ctx, metav1.ListOptions{LabelSelector: "pages=yes"}, func(object runtime.Object) error {
		names[object.(*corev1.ConfigMap).Name] = true
		return nil
	})
	if err != nil {
		return err
	}
	if requests < 2 {
		return fmt.Errorf("%d requests", requests)
	}
	return want("names", fmt.Sprint(len(names)), args[1])
}

// formats NAMESPACE: every object of every kind with a type in Go is the same in JSON and in protobuf, one by one and in
// lists; and lists can be had as tables.
func formats(ctx context.Context, config *rest.Config, _ []string) error {
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return err
	}
	lists, err := client.ServerPreferredResources()
	if err != nil {
		return err
	}
	compared := 0
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return err
		}
		for _, resource := range list.APIResources {
			if !slices.Contains(resource.Verbs, "list") || !scheme.Scheme.Recognizes(gv.WithKind(resource.Kind)) {
				continue
			}
			n, err := compare(ctx, config, gv, resource)
			if err != nil {
				return fmt.Errorf("%s in %s: %w", resource.Name, gv, err)
			}
			compared += n
		}
	}
	say(map[string]any{"event": "compared", "objects": compared})
	return nil
}

func compare(ctx context.Context, config *rest.Config, gv schema.GroupVersion, resource metav1.APIResource) (int, error) {
	read := func(config *rest.Config) (runtime.Object, error) {
		client, err := restClient(config, gv)
		if err != nil {
			return nil, err
		}
		return client.Get().Resource(resource.Name).Do(ctx).Get()
	}
	fromJSON, err := read(inJSON(config))
	if err != nil {
		return 0, err
	}
	fromProtobuf, err := read(inProtobuf(config))
	if err != nil {
		return 0, err
	}
	// Items may name their kind, or leave it to the list.
	err = meta.EachListItem(fromJSON, func(object runtime.Object) error {
		object.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
		return nil
	})
	if err != nil {
		return 0, err
	}
	if err := sameLists(fromJSON, fromProtobuf); err != nil {
		return 0, err
	}
	client, err := restClient(inJSON(config), gv)
	if err != nil {
		return 0, err
	}
	accept := "application/json;as=Table;v=v1;g=meta.k8s.io"
	bytes, err := client.Get().Resource(resource.Name).SetHeader("Accept", accept).Do(ctx).Raw()
	if err != nil {
		return 0, err
	}
	decoded, err := runtime.Decode(unstructured.UnstructuredJSONScheme, bytes)
	if err != nil {
		return 0, err
	}
	if err := want("the form", decoded.GetObjectKind().GroupVersionKind().Kind, "Table"); err != nil {
		return 0, err
	}
	return meta.LenList(fromJSON), nil
}

func sameLists(a, b runtime.Object) error {
	if equality.Semantic.DeepEqual(a, b) {
		return nil
	}
	return fmt.Errorf("JSON and protobuf differ: %s", diff.Diff(a, b))
}

func restClient(config *rest.Config, gv schema.GroupVersion) (*rest.RESTClient, error) {
	c := rest.CopyConfig(config)
	c.GroupVersion = &gv
	c.APIPath = "/apis"
	if gv.Group == "" {
		c.APIPath = "/api"
	}
	c.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	return rest.RESTClientFor(c)
}
