// Command client-go uses an API server by Kubernetes' own Go client, as controllers do. Each scenario ends with 0, or says
// on standard error what was not as it should be. Those that run on print a line of JSON for what happens to them.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

type scenario func(ctx context.Context, config *rest.Config, args []string) error

var scenarios = map[string]scenario{
	"informer":  informer,
	"elect":     elect,
	"built-in":  builtIn,
	"refusals":  refusals,
	"apply":     apply,
	"custom":    custom,
	"discovery": discover,
	"pages":     pages,
	"formats":   formats,
	"events":    recordEvents,
}

func main() {
	if len(os.Args) < 2 || scenarios[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: KUBECONFIG=FILE client-go SCENARIO [ARGUMENT...]")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err == nil {
		// Scenarios measure nothing, and a client that waits for its own limits hides what the server does.
		config.QPS = -1
		err = scenarios[os.Args[1]](ctx, config, os.Args[2:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// inProtobuf is what controller-runtime asks for where a kind is built in.
func inProtobuf(config *rest.Config) *rest.Config {
	c := rest.CopyConfig(config)
	c.ContentType = runtime.ContentTypeProtobuf
	c.AcceptContentTypes = strings.Join([]string{runtime.ContentTypeProtobuf, runtime.ContentTypeJSON}, ",")
	return c
}

func inJSON(config *rest.Config) *rest.Config {
	c := rest.CopyConfig(config)
	c.ContentType = runtime.ContentTypeJSON
	c.AcceptContentTypes = runtime.ContentTypeJSON
	return c
}

var printing sync.Mutex

// say prints a line of JSON.
func say(line map[string]any) {
	printing.Lock()
	defer printing.Unlock()
	_ = json.NewEncoder(os.Stdout).Encode(line)
}

// want makes an error of a difference.
func want(what string, got, expected any) error {
	if fmt.Sprint(got) == fmt.Sprint(expected) {
		return nil
	}
	return fmt.Errorf("%s: got %v, want %v", what, got, expected)
}

// first is the first error of several, or nil.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
