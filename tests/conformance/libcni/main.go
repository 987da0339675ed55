// Calls the plugin through libcni and go-cni, as a runtime does. Prints a line "ok NAME" or "FAIL NAME: why" for each
// check. Built in GOPATH mode against Debian's packages (see libcni.ts). It runs on a private host.
//
//	main PLUGINS CONFIGURATIONS NETNS OTHER-NETNS
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	gocni "github.com/containerd/go-cni"
	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/invoke"
	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
)

var ctx = context.Background()
var failed bool

func check(name string, err error) {
	if err != nil {
		failed = true
		fmt.Printf("FAIL %s: %v\n", name, err)
		return
	}
	fmt.Println("ok", name)
}

// must returns an error if a condition does not hold.
func must(holds bool, format string, args ...any) error {
	if holds {
		return nil
	}
	return fmt.Errorf(format, args...)
}

func fails(err error, with string) error {
	if err == nil {
		return errors.New("no error")
	}
	return must(strings.Contains(err.Error(), with), "another error: %v", err)
}

func ip(args ...string) {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		panic(fmt.Sprintf("ip %v: %s", args, out))
	}
}

// direct runs the plugin as the newest libcni does, for the two commands that the packaged libcni lacks.
func direct(plugins, command string, config map[string]any) error {
	bytes, _ := json.Marshal(config)
	args := &invoke.Args{Command: command, Path: plugins}
	return invoke.ExecPluginWithoutResult(ctx, filepath.Join(plugins, "atomicni"), bytes, args, nil)
}

func attachment(id, netns string) *libcni.RuntimeConf {
	return &libcni.RuntimeConf{
		ContainerID: id, NetNS: netns, IfName: "eth0",
		Args:           [][2]string{{"IgnoreUnknown", "1"}, {"K8S_POD_NAMESPACE", "shop"}, {"K8S_POD_NAME", "web"}},
		CapabilityArgs: map[string]any{},
	}
}

func addresses(result types.Result) string {
	found, err := types100.GetResult(result)
	if err != nil {
		return err.Error()
	}
	list := []string{}
	for _, it := range found.IPs {
		list = append(list, it.Address.String())
	}
	return strings.Join(list, " ")
}

func throughLibcni(plugins, configurations, netns, other string) {
	cni := libcni.NewCNIConfigWithCacheDir([]string{plugins}, "/run/cache", nil)
	list, err := libcni.LoadConfList(configurations, "podnet")
	check("libcni loads the list from a folder", err)
	_, err = cni.ValidateNetworkList(ctx, list)
	check("libcni ValidateNetworkList", err)

	first := attachment("c1", netns)
	result, err := cni.AddNetworkList(ctx, list, first)
	if err == nil {
		cached, cacheErr := cni.GetNetworkListCachedResult(list, first)
		err = must(cacheErr == nil && addresses(cached) == addresses(result) && addresses(result) == "10.86.0.2/24",
			"result %v, cached %v, %v", result, cached, cacheErr)
	}
	check("libcni AddNetworkList, result cached", err)
	_, err = cni.AddNetworkList(ctx, list, first)
	check("libcni AddNetworkList twice is an error with our message",
		fails(err, `it exists and belongs to "shop/web podnet/c1/eth0"`))
	// The failed ADD wrote no result; the cached result is still that of the first ADD.
	check("libcni CheckNetworkList", cni.CheckNetworkList(ctx, list, first))
	ip("-n", filepath.Base(netns), "route", "del", "default")
	check("libcni CheckNetworkList reports a missing route",
		fails(cni.CheckNetworkList(ctx, list, first), "route to 0.0.0.0/0: expected via 10.86.0.1 on eth0, found none"))

	second := attachment("c2", other)
	second.CapabilityArgs = map[string]any{"ips": []string{"10.86.0.40"}, "mac": "0a:00:00:00:00:40"}
	result, err = cni.AddNetworkList(ctx, list, second)
	if err == nil {
		err = must(addresses(result) == "10.86.0.40/24", "got %v", result)
	}
	check("libcni with runtimeConfig and CNI_ARGS", err)

	dual(cni, configurations, other)

	// GC in libcni: a DEL for each cached attachment that is not valid, then GC with the list.
	valid := []map[string]string{{"containerID": "c2", "ifname": "eth0"}}
	config := map[string]any{"cniVersion": "1.1.0", "name": "podnet", "type": "atomicni", "bridge": "atomic0",
		"subnet": "10.86.0.0/24", "gateway": "10.86.0.1", "cni.dev/valid-attachments": valid, "cni.dev/attachments": valid}
	err = errors.Join(cni.DelNetworkList(ctx, list, first), direct(plugins, "GC", config), cni.CheckNetworkList(ctx, list, second))
	check("GC as libcni sends it", err)
	delete(config, "cni.dev/valid-attachments")
	delete(config, "cni.dev/attachments")
	check("STATUS as libcni sends it", direct(plugins, "STATUS", config))

	gone, goneErr := cni.GetNetworkListCachedResult(list, first)
	check("libcni DelNetworkList, twice", errors.Join(
		cni.DelNetworkList(ctx, list, first), cni.DelNetworkList(ctx, list, second), cni.DelNetworkList(ctx, list, second),
		must(gone == nil && goneErr == nil, "still cached: %v", gone)))
}

// dual adds a second interface with two addresses to a container, in the dialect of bridge + host-local.
func dual(cni *libcni.CNIConfig, configurations, netns string) {
	list, err := libcni.LoadConfList(configurations, "dual")
	third := attachment("c2", netns)
	third.IfName = "eth1"
	third.CapabilityArgs = map[string]any{"ips": []string{"fd00:89::40/64", "10.87.0.40"}}
	if err == nil {
		var result types.Result
		result, err = cni.AddNetworkList(ctx, list, third)
		if err == nil {
			err = must(addresses(result) == "10.87.0.40/24 fd00:89::40/64", "got %v", result)
		}
	}
	check("libcni with two range sets and a requested address of each", err)
	check("libcni CheckNetworkList of both families", cni.CheckNetworkList(ctx, list, third))
	ip("-n", filepath.Base(netns), "-6", "route", "del", "default")
	check("libcni CheckNetworkList reports a missing IPv6 route",
		fails(cni.CheckNetworkList(ctx, list, third), "route to ::/0: expected via fd00:89::1 on eth1, found none"))
	check("libcni DelNetworkList of both families", cni.DelNetworkList(ctx, list, third))
}

func throughGoCni(plugins, configurations, netns string) {
	cni, err := gocni.New(gocni.WithMinNetworkCount(1), gocni.WithPluginConfDir(configurations),
		gocni.WithPluginDir([]string{plugins}), gocni.WithInterfacePrefix("eth"))
	if err == nil {
		err = cni.Load(gocni.WithConfListFile(filepath.Join(configurations, "10-podnet.conflist")))
	}
	if err != nil {
		check("go-cni Setup", err)
		return
	}
	check("go-cni Status", cni.Status())
	labels := gocni.WithLabels(map[string]string{"IgnoreUnknown": "1", "K8S_POD_NAMESPACE": "shop", "K8S_POD_NAME": "web"})
	result, err := cni.Setup(ctx, "c3", netns, labels)
	if err == nil {
		eth0 := result.Interfaces["eth0"]
		err = must(eth0 != nil && len(eth0.IPConfigs) == 1 && eth0.Sandbox == netns && len(result.Routes) == 1, "got %+v", result)
	}
	check("go-cni Setup", err)
	check("go-cni Check", cni.Check(ctx, "c3", netns, labels))
	check("go-cni Remove", errors.Join(cni.Remove(ctx, "c3", netns, labels), cni.Remove(ctx, "c3", netns, labels)))
}

func main() {
	plugins, configurations, netns, other := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	throughLibcni(plugins, configurations, netns, other)
	throughGoCni(plugins, configurations, netns)
	if failed {
		os.Exit(1)
	}
}
