// Command probe is what the pods of package test/nodes run: it serves, calls others, and measures. As "pause" it is the container
// that holds a pod's namespaces, as "install-conf" it stands in for the program of that name in Flannel's image.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Port is where a probe serves, by HTTP and as an echo of UDP.
const port = "8080"

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, filepath.Base(os.Args[0]), os.Args[1:])
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, name string, args []string) error {
	if name == "install-conf" && len(args) == 2 {
		return install(args[0], args[1])
	}
	if name == "pause" {
		<-ctx.Done()
		return nil
	}
	if len(args) == 0 {
		return errors.New("usage: probe serve|get|udp|link|mtu|lookup|resolve|stream|watch …")
	}
	rest := args[1:]
	switch {
	case args[0] == "serve":
		return serve(ctx)
	case args[0] == "get":
		return answer(each(rest, get))
	case args[0] == "udp":
		return answer(each(rest, func(target string) (string, error) { return echo(target, []byte("hello")) }))
	case args[0] == "lookup":
		return answer(each(rest, lookup))
	case args[0] == "resolve" && len(rest) > 1:
		return answer(each(rest[1:], func(name string) (string, error) { return resolve(ctx, rest[0], name) }))
	case args[0] == "link":
		return answer(each(rest, link))
	case args[0] == "mtu" && len(rest) > 1:
		return answer(each(rest[1:], func(size string) (string, error) { return probeMTU(rest[0], size) }))
	case args[0] == "stream" && len(rest) == 3:
		interval, err := time.ParseDuration(rest[2])
		if err != nil {
			return err
		}
		return stream(rest[0], rest[1], interval)
	case args[0] == "watch" && len(rest) == 2:
		interval, err := time.ParseDuration(rest[1])
		if err != nil {
			return err
		}
		return watch(rest[0], interval)
	}
	return fmt.Errorf("probe %q: unknown, or wrong arguments", args)
}

// install copies a file so that nobody sees half of it.
func install(source, target string) error {
	content, err := os.ReadFile(source)
	if err != nil {
		return err
	}
	half := filepath.Join(filepath.Dir(target), "."+filepath.Base(target)+".tmp")
	if err := os.WriteFile(half, content, 0o644); err != nil {
		return err
	}
	return os.Rename(half, target)
}

// Result is what came of one target.
type Result struct {
	Target string  `json:"target"`
	Answer string  `json:"answer,omitempty"`
	Error  string  `json:"error,omitempty"`
	Millis float64 `json:"millis"`
}

// each tries all targets at once.
func each(targets []string, try func(string) (string, error)) []Result {
	results := make([]Result, len(targets))
	done := make(chan struct{})
	for i, target := range targets {
		go func() {
			start := time.Now()
			text, err := try(target)
			results[i] = Result{Target: target, Answer: text, Millis: float64(time.Since(start).Microseconds()) / 1000}
			if err != nil {
				results[i].Error = err.Error()
			}
			done <- struct{}{}
		}()
	}
	for range targets {
		<-done
	}
	return results
}

func answer(value any) error {
	return json.NewEncoder(os.Stdout).Encode(value)
}

// serve answers with the pod's name and who asks.
func serve(ctx context.Context) error {
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	packets, err := net.ListenPacket("udp", ":"+port)
	if err != nil {
		return err
	}
	go func() {
		buffer := make([]byte, 64<<10)
		for {
			n, from, err := packets.ReadFrom(buffer)
			if err != nil {
				return
			}
			_, _ = packets.WriteTo(buffer[:n], from)
		}
	}()
	server := &http.Server{
		Addr: ":" + port, ReadHeaderTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			from, _, _ := net.SplitHostPort(r.RemoteAddr)
			fmt.Fprintf(w, "%s %s", name, from)
		}),
	}
	go func() {
		<-ctx.Done()
		_ = server.Close()
		_ = packets.Close()
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// client opens a connection for each request: a Service decides anew then.
var client = &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

func get(target string) (string, error) {
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+target, http.NoBody)
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = errors.New(response.Status)
	}
	return string(body), err
}

func echo(target string, payload []byte) (string, error) {
	connection, err := net.Dial("udp", target)
	if err != nil {
		return "", err
	}
	defer func() { _ = connection.Close() }()
	return exchange(connection, payload)
}

func exchange(connection net.Conn, payload []byte) (string, error) {
	if _, err := connection.Write(payload); err != nil {
		return "", err
	}
	if err := connection.SetReadDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return "", err
	}
	buffer := make([]byte, 64<<10)
	n, err := connection.Read(buffer)
	return strconv.Itoa(n), err
}

// lookup resolves a name. Where a packet is lost, it is asked again after 5 s, as by every resolver.
func lookup(name string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 9*time.Second)
	defer cancel()
	addresses, err := (&net.Resolver{PreferGo: true}).LookupHost(ctx, name)
	if err != nil {
		return "", err
	}
	return addresses[0], nil
}

// resolve asks one server for a name's addresses of both families, by UDP and by TCP, which have to hear the same.
func resolve(ctx context.Context, server, name string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var heard []string
	for _, protocol := range []string{"udp", "tcp"} {
		resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, protocol, server)
		}}
		addresses, err := resolver.LookupHost(ctx, name)
		if err != nil {
			return "", fmt.Errorf("by %s: %w", protocol, err)
		}
		slices.Sort(addresses)
		heard = append(heard, strings.Join(addresses, " "))
	}
	if heard[0] != heard[1] {
		return "", fmt.Errorf("by UDP %q, by TCP %q", heard[0], heard[1])
	}
	return heard[0], nil
}

// link tells the MTU of an interface.
func link(name string) (string, error) {
	found, err := net.InterfaceByName(name)
	if err != nil {
		return "", err
	}
	return strconv.Itoa(found.MTU), nil
}
