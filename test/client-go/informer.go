package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// informer NAMESPACE typed|dynamic|metadata GROUP/VERSION/RESOURCE tells what a shared informer sees. A line on standard
// input makes it tell what its cache holds.
func informer(ctx context.Context, config *rest.Config, args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("informer NAMESPACE typed|dynamic|metadata GROUP/VERSION/RESOURCE")
	}
	shared, err := sharedInformer(config, args[0], args[1], args[2])
	if err != nil {
		return err
	}
	tell := func(what string, object any) {
		if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
			object = gone.Obj
		}
		if o, err := meta.Accessor(object); err == nil {
			say(map[string]any{"event": what, "name": o.GetName(), "version": o.GetResourceVersion(), "n": o.GetAnnotations()["n"]})
		}
	}
	handlers := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { tell("added", o) },
		UpdateFunc: func(_, o any) { tell("updated", o) },
		DeleteFunc: func(o any) { tell("deleted", o) },
	}
	if _, err := shared.AddEventHandler(handlers); err != nil {
		return err
	}
	err = shared.SetWatchErrorHandler(func(_ *cache.Reflector, err error) {
		expired := apierrors.IsResourceExpired(err) || apierrors.IsGone(err)
		say(map[string]any{"event": "error", "expired": expired, "message": err.Error()})
	})
	if err != nil {
		return err
	}
	go func() {
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			held := map[string]string{}
			for _, object := range shared.GetStore().List() {
				if o, err := meta.Accessor(object); err == nil {
					held[o.GetName()] = o.GetResourceVersion()
				}
			}
			say(map[string]any{"event": "cache", "held": held})
		}
	}()
	go func() {
		if cache.WaitForCacheSync(ctx.Done(), shared.HasSynced) {
			say(map[string]any{"event": "synced"})
		}
	}()
	shared.Run(ctx.Done())
	return nil
}

func sharedInformer(config *rest.Config, namespace, form, resource string) (cache.SharedIndexInformer, error) {
	parts := strings.Split(resource, "/")
	if len(parts) != 3 {
		return nil, fmt.Errorf("%s is not GROUP/VERSION/RESOURCE", resource)
	}
	gvr := schema.GroupVersionResource{Group: parts[0], Version: parts[1], Resource: parts[2]}
	switch form {
	case "typed":
		client, err := kubernetes.NewForConfig(inProtobuf(config))
		if err != nil {
			return nil, err
		}
		generic, err := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(namespace)).ForResource(gvr)
		if err != nil {
			return nil, err
		}
		return generic.Informer(), nil
	case "dynamic":
		client, err := dynamic.NewForConfig(config)
		if err != nil {
			return nil, err
		}
		return dynamicinformer.NewFilteredDynamicSharedInformerFactory(client, 0, namespace, nil).ForResource(gvr).Informer(), nil
	case "metadata":
		client, err := metadata.NewForConfig(config)
		if err != nil {
			return nil, err
		}
		return metadatainformer.NewFilteredSharedInformerFactory(client, 0, namespace, nil).ForResource(gvr).Informer(), nil
	default:
		return nil, fmt.Errorf("no form %s", form)
	}
}
