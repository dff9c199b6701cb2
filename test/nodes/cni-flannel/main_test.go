package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	both = `FLANNEL_NETWORK=10.244.0.0/16
FLANNEL_SUBNET=10.244.3.1/24
FLANNEL_IPV6_NETWORK=fd00:10:244::/56
FLANNEL_IPV6_SUBNET=fd00:10:244:3::1/64
FLANNEL_MTU=1430
FLANNEL_IPMASQ=true
`
	onlyIPv4 = "FLANNEL_NETWORK=10.244.0.0/16,10.245.0.0/16\nFLANNEL_SUBNET=10.244.3.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=false\n"
	onlyIPv6 = "FLANNEL_IPV6_NETWORK=fd00:10:244::/56\nFLANNEL_IPV6_SUBNET=fd00:10:244:3::1/64\nFLANNEL_MTU=1430\nFLANNEL_IPMASQ=true\n"
)

func TestDelegate(t *testing.T) {
	for name, c := range map[string]struct{ subnet, config, want string }{
		"both families": {both, `{"cniVersion":"0.3.1","name":"cbr0","delegate":{"hairpinMode":true,"isDefaultGateway":true}}`,
			`{"cniVersion":"0.3.1","hairpinMode":true,"ipMasq":false,"ipam":{"ranges":[[{"subnet":"10.244.3.0/24"}],[{"subnet":"fd00:10:244:3::/64"}]],` +
				`"routes":[{"dst":"10.244.0.0/16"},{"dst":"fd00:10:244::/56"}],"type":"host-local"},` +
				`"isDefaultGateway":true,"isGateway":true,"mtu":1430,"name":"cbr0","type":"bridge"}`},
		"IPv4, and flanneld masquerades nothing": {onlyIPv4, `{"name":"cbr0"}`,
			`{"cniVersion":"0.1.0","ipMasq":true,"ipam":{"ranges":[[{"subnet":"10.244.3.0/24"}]],` +
				`"routes":[{"dst":"10.244.0.0/16"},{"dst":"10.245.0.0/16"}],"type":"host-local"},` +
				`"isGateway":true,"mtu":1450,"name":"cbr0","type":"bridge"}`},
		"IPv6, and the user's settings": {onlyIPv6,
			`{"cniVersion":"1.0.0","name":"cbr0","ipam":{"type":"mine","routes":[{"dst":"fd01::/64"}]},"runtimeConfig":{"mac":"1"},` +
				`"delegate":{"type":"ptp","mtu":1300,"ipMasq":true}}`,
			`{"cniVersion":"1.0.0","ipMasq":true,"ipam":{"ranges":[[{"subnet":"fd00:10:244:3::/64"}]],` +
				`"routes":[{"dst":"fd01::/64"},{"dst":"fd00:10:244::/56"}],"type":"mine"},` +
				`"mtu":1300,"name":"cbr0","runtimeConfig":{"mac":"1"},"type":"ptp"}`},
		"the bridge is no gateway": {onlyIPv6, `{"name":"n","delegate":{"isGateway":false}}`,
			`{"cniVersion":"0.1.0","ipMasq":false,"ipam":{"ranges":[[{"subnet":"fd00:10:244:3::/64"}]],` +
				`"routes":[{"dst":"fd00:10:244::/56"}],"type":"host-local"},"isGateway":false,"mtu":1430,"name":"n","type":"bridge"}`},
	} {
		t.Run(name, func(t *testing.T) {
			parsed, err := parse([]byte(c.config))
			if err != nil {
				t.Fatal(err)
			}
			n, err := parseNode(c.subnet)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := json.Marshal(parsed.delegate(n)); err != nil || string(got) != c.want {
				t.Errorf("got  %s, %v\nwant %s", got, err, c.want)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	for name, config := range map[string]string{
		"no JSON": "{", "no name": `{}`, "the delegate's name": `{"name":"n","delegate":{"name":"m"}}`,
		"its addresses": `{"name":"n","delegate":{"ipam":{}}}`, "no type": `{"name":"n","delegate":{"type":1}}`,
		"a path": `{"name":"n","delegate":{"type":"../bridge"}}`,
	} {
		if _, err := parse([]byte(config)); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	for name, subnet := range map[string]string{
		"nothing": "", "no subnet": "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n",
		"no MTU": strings.ReplaceAll(both, "FLANNEL_MTU=1430", ""), "no masquerade": strings.ReplaceAll(both, "IPMASQ=true", "IPMASQ="),
		"no range": strings.ReplaceAll(both, "/56", "/x"),
	} {
		if _, err := parseNode(subnet); err == nil {
			t.Errorf("%s in the subnet file is taken", name)
		}
	}
}

// TestLife takes a container through its life, with a delegate that keeps what it was told and answers with its command.
func TestLife(t *testing.T) {
	dir := t.TempDir()
	data, subnet, told := filepath.Join(dir, "data"), filepath.Join(dir, "subnet.env"), filepath.Join(dir, "told")
	script := "#!/bin/sh\ncat > " + told + "\necho \"$CNI_COMMAND\"\ntest ! -e " + filepath.Join(dir, "broken") + "\n"
	if err := os.WriteFile(filepath.Join(dir, "bridge"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CNI_PATH", "/nowhere:"+dir)
	do := func(command, container, version, more string) (string, error) {
		t.Helper()
		t.Setenv("CNI_COMMAND", command)
		t.Setenv("CNI_CONTAINERID", container)
		var out bytes.Buffer
		err := run(os.Getenv, []byte(`{"cniVersion":"`+version+`","name":"cbr0","subnetFile":"`+subnet+`","dataDir":"`+data+`"`+more+`}`), &out)
		return strings.TrimSpace(out.String()), err
	}
	must := func(command, container, version, more, says string) {
		t.Helper()
		out, err := do(command, container, version, more)
		content, _ := os.ReadFile(told)
		if err != nil || out != command || !strings.Contains(string(content), says) {
			t.Fatalf("%s: %q, %v; the delegate was told %s", command, out, err, content)
		}
	}
	code := func(command, container, version string, want int) {
		t.Helper()
		_, err := do(command, container, version, "")
		var f *failure
		if !errors.As(err, &f) || f.Code != want {
			t.Errorf("%s of %q by version %s: %v, not code %d", command, container, version, err, want)
		}
	}
	kept := func(want string) {
		t.Helper()
		paths, _ := filepath.Glob(filepath.Join(data, "*"))
		var names []string
		for _, path := range paths {
			names = append(names, filepath.Base(path))
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("kept are %q, not %q", got, want)
		}
	}

	code("STATUS", "", "1.1.0", codeUnavailable) // flanneld has not begun
	code("ADD", "one", "1.1.0", codeOther)
	kept("")
	if err := os.WriteFile(subnet, []byte(both), 0o600); err != nil {
		t.Fatal(err)
	}
	must("STATUS", "", "1.1.0", "", `"type":"bridge"`)
	must("ADD", "one", "1.1.0", "", "fd00:10:244:3::/64")
	must("ADD", "two", "1.1.0", "", "10.244.3.0/24")
	kept("one two")
	must("CHECK", "one", "1.1.0", `,"prevResult":{"ips":[]}`, `"prevResult":{"ips":[]}`)
	code("CHECK", "one", "0.3.1", codeVersion)
	code("CHECK", "other", "1.1.0", codeOther)
	code("GC", "", "1.0.0", codeVersion)
	code("ADD", "../one", "1.1.0", codeEnvironment)
	code("NOTHING", "one", "1.1.0", codeEnvironment)
	code("ADD", "one", "9.0.0", codeVersion)
	must("GC", "", "1.1.0", `,"cni.dev/valid-attachments":[{"containerID":"two","ifname":"eth0"}]`, `"containerID":"two"`)
	kept("two")

	// The node's subnet has changed, and the delegate fails at first.
	if err := errors.Join(os.WriteFile(subnet, []byte(onlyIPv4), 0o600), os.WriteFile(filepath.Join(dir, "broken"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := do("DEL", "two", "1.1.0", ""); !errors.Is(err, errDelegate) {
		t.Errorf("a delegate that fails: %v", err)
	}
	kept("two")
	if err := os.Remove(filepath.Join(dir, "broken")); err != nil {
		t.Fatal(err)
	}
	must("DEL", "two", "1.1.0", "", "fd00:10:244:3::/64")
	kept("")
	if out, err := do("DEL", "two", "1.1.0", ""); out != "" || err != nil {
		t.Errorf("nothing is left to remove: %q, %v", out, err)
	}
	if out, err := do("VERSION", "", "1.1.0", ""); err != nil || !strings.Contains(out, `"0.3.1"`) {
		t.Errorf("versions: %s, %v", out, err)
	}
}
