package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	ingressNamespace = "traefik"
	ingressHost      = "shop.example.com"
)

// ingressOfHost leads from a host to the probes.
const ingressOfHost = `apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {namespace: default, name: shop}
spec:
  ingressClassName: traefik
  rules:
  - host: ` + ingressHost + `
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}
`

// ingress has a controller, which serves an Ingress to somebody beside the nodes: this process, which is on their switch and in no cluster.
func ingress(e *environment) {
	begin := time.Now()
	e.change(manifest{ingress: true})
	e.Logf("NetworkStack with an ingress controller Ready after %.1f s", time.Since(begin).Seconds())
	services := &corev1.ServiceList{}
	e.check(e.client.List(e.Context(), services, client.InNamespace(ingressNamespace)))
	if len(services.Items) != 1 || services.Items[0].Spec.Ports[0].NodePort == 0 {
		e.Fatalf("no Service of the controller with a port of the nodes: %v", services.Items)
	}
	port := services.Items[0].Spec.Ports[0].NodePort
	var doors []string
	for _, n := range e.cluster.Nodes {
		doors = append(doors, fmt.Sprintf("%s:%d", n.Address(e.families[0]), port))
	}
	for _, door := range doors {
		e.eventually("the controller at "+door, func() error {
			if status, _, err := fetch(e.Context(), door, ingressHost); err != nil || status != http.StatusNotFound {
				return fmt.Errorf("without an Ingress it answers %d, %w", status, err)
			}
			return nil
		})
	}
	begin = time.Now()
	e.apply(ingressOfHost)
	e.eventually("the Ingress", func() error { return e.served(doors[0]) })
	e.Logf("the Ingress is served %d ms after it was applied", time.Since(begin).Milliseconds())
	// Each of the controller's pods learns of it by itself, and each node chooses among them.
	e.eventually("the Ingress at all nodes, again and again", func() error { return e.servedAt(doors, 4) })
	for _, door := range doors {
		if status, body, err := fetch(e.Context(), door, "other.example.com"); err != nil || status != http.StatusNotFound {
			e.Errorf("another host, at %s: %d %q, %v", door, status, body, err)
		}
	}
	end := e.visit("visits from outside, controller restarted", doors)
	e.kubectl("rollout", "restart", "-n", ingressNamespace, "deployment")
	e.kubectl("rollout", "status", "-n", ingressNamespace, "deployment", "--timeout=2m")
	e.waitReady()
	l := end()
	e.Log(l.String())
	e.within([]loss{l}, 3*time.Second)
	e.check(e.servedAt(doors, 4))
	packets(e)
	e.kubectl("delete", "ingress", "shop")
	e.change(manifest{})
	for _, door := range doors {
		e.eventually(door+" to be closed", func() error {
			if status, _, err := fetch(e.Context(), door, ingressHost); err == nil {
				return fmt.Errorf("it answers %d", status)
			}
			return nil
		})
	}
}

// servedAt asks at every door some times.
func (e *environment) servedAt(doors []string, times int) error {
	for _, door := range doors {
		for range times {
			if err := e.served(door); err != nil {
				return fmt.Errorf("%s: %w", door, err)
			}
		}
	}
	return nil
}

// visit asks at one door after the other until the function that it returns is called, which tells how many visits failed.
func (e *environment) visit(description string, doors []string) func() loss {
	l := loss{description: description}
	ctx, cancel := context.WithCancel(e.Context())
	done := make(chan struct{})
	var took []int64
	go func() {
		defer close(done)
		var waiting time.Time
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			begin := time.Now()
			status, body, err := fetch(e.Context(), doors[l.Sent%len(doors)], ingressHost)
			l.Sent++
			now := time.Now()
			if waiting.IsZero() {
				waiting = begin
			}
			l.GapMillis = max(l.GapMillis, float64(now.Sub(waiting).Milliseconds()))
			if err == nil && status == http.StatusOK {
				l.Received++
				waiting = time.Time{}
				took = append(took, now.Sub(begin).Microseconds())
			} else {
				l.LastError = fmt.Sprintf("%d %q %v", status, body, err)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() loss {
		cancel()
		<-done
		if slices.Sort(took); len(took) > 0 {
			l.P50Micros, l.P99Micros = took[len(took)/2], took[len(took)*99/100]
		}
		return l
	}
}

// served checks that a pod answers behind the controller, which asks it.
func (e *environment) served(door string) error {
	status, body, err := fetch(e.Context(), door, ingressHost)
	if err != nil || status != http.StatusOK {
		return errors.Join(err, fmt.Errorf("%d %s", status, body))
	}
	name, from, _ := strings.Cut(body, " ")
	controllers := &corev1.PodList{}
	if err := e.client.List(e.Context(), controllers, client.InNamespace(ingressNamespace)); err != nil {
		return err
	}
	if !strings.HasPrefix(name, "probe-") || !slices.ContainsFunc(controllers.Items, func(p corev1.Pod) bool { return p.Status.PodIP == from }) {
		return fmt.Errorf("%q, which is not from a probe that a controller asked", body)
	}
	return nil
}

// fetch asks for a host at an address, by a connection of its own.
func fetch(ctx context.Context, address, host string) (int, string, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", http.NoBody)
	if err != nil {
		return 0, "", err
	}
	request.Host, request.Close = host, true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, 4096))
	return response.StatusCode, string(body), err
}
