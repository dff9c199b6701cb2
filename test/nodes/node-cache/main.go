// Command node-cache stands in for NodeLocal DNSCache's program of that name (k8s.io/dns), which there is no Go module of. As that one
// it gives a link of the node the addresses that the cache answers on, fills in the Corefile, keeps rules by which packets to and from
// these addresses are not tracked, and takes all of that away when it is told to end, and not when it is killed. CoreDNS, which is part of
// that program, is a process of its own here. Where the kernel has no dummy links, a bridge without ports takes their place.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
)

const (
	linkName = "nodelocaldns"
	program  = "/coredns"
	template = "/etc/coredns/Corefile.base"
	// interval is between two times that link and rules are put right. The rules come for the first time after it, too, unless a file tells
	// that CoreDNS answers.
	interval = time.Minute
)

// settings are what the program is told.
type settings struct {
	addresses         []netip.Addr
	conf, pidfile     string
	upstream          string // the name of the Service
	upstreamAddresses string // what the environment says of it
}

func main() {
	log.SetFlags(log.Ltime)
	s, err := parse(os.Args[1:], os.Getenv)
	if err == nil {
		err = run(s)
	}
	if err != nil {
		log.Fatal(err)
	}
}

func parse(args []string, getenv func(string) string) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("node-cache", flag.ContinueOnError)
	local := flags.String("localip", "", "addresses to answer on, separated by commas")
	flags.StringVar(&s.conf, "conf", "/etc/Corefile", "the Corefile to write")
	flags.StringVar(&s.pidfile, "pidfile", "", "the file that tells that CoreDNS answers")
	flags.StringVar(&s.upstream, "upstreamsvc", "kube-dns", "the Service whose address is asked for the cluster's names")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	for text := range strings.SplitSeq(*local, ",") {
		address, err := netip.ParseAddr(text)
		if err != nil {
			return s, err
		}
		if s.addresses = append(s.addresses, address); address.Is4() != s.addresses[0].Is4() {
			return s, fmt.Errorf("%s is not of the family of %s", address, s.addresses[0])
		}
	}
	s.upstreamAddresses = getenv(strings.ToUpper(strings.ReplaceAll(s.upstream, "-", "_")) + "_SERVICE_HOST")
	return s, nil
}

// corefile fills in what is not known before.
func (s settings) corefile(text string) string {
	return strings.NewReplacer(
		"__PILLAR__CLUSTER__DNS__", s.upstreamAddresses, "__PILLAR__UPSTREAM__SERVERS__", "/etc/resolv.conf",
	).Replace(text)
}

// rules are those of the node: a table, a chain, and what packets they are about.
func (s settings) rules() [][]string {
	const untracked, allowed = "NodeLocal DNS Cache: skip conntrack", "NodeLocal DNS Cache: allow DNS traffic"
	var rules [][]string
	add := func(table, chain, protocol, address string, to bool, port string) {
		where, which, target, comment := "-s", "--sport", "NOTRACK", untracked
		if to {
			where, which = "-d", "--dport"
		}
		if table == "filter" {
			target, comment = "ACCEPT", allowed
		}
		rules = append(rules, []string{
			table, chain, "-p", protocol, where, address, which, port, "-j", target, "-m", "comment", "--comment", comment,
		})
	}
	for _, a := range s.addresses {
		for _, protocol := range []string{"tcp", "udp"} {
			add("raw", "PREROUTING", protocol, a.String(), true, "53")
			add("filter", "INPUT", protocol, a.String(), true, "53")
			add("raw", "OUTPUT", protocol, a.String(), false, "53")
			add("filter", "OUTPUT", protocol, a.String(), false, "53")
			add("raw", "OUTPUT", protocol, a.String(), true, "53")
		}
		add("raw", "OUTPUT", "tcp", a.String(), true, "8080")
		add("raw", "OUTPUT", "tcp", a.String(), false, "8080")
	}
	return rules
}

func (s settings) iptables(verb string, rule []string) error {
	command := "iptables"
	if !s.addresses[0].Is4() {
		command = "ip6tables"
	}
	out, err := exec.Command(command, append([]string{"-w", "-t", rule[0], verb, rule[1]}, rule[2:]...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s %v: %w: %s", command, verb, rule, err, out)
	}
	return nil
}

// addRules puts in the rules that are not there. What fails is tried again later.
func (s settings) addRules() {
	for _, rule := range s.rules() {
		if s.iptables("-C", rule) != nil {
			if err := s.iptables("-I", rule); err != nil {
				log.Print(err)
			}
		}
	}
}

func (s settings) removeRules() error {
	var errs []error
	for _, rule := range s.rules() {
		for s.iptables("-C", rule) == nil {
			if err := s.iptables("-D", rule); err != nil {
				errs = append(errs, err)
				break
			}
		}
	}
	return errors.Join(errs...)
}

// addLink makes the link, and gives it addresses that it has not. It need not be up for that.
func (s settings) addLink() error {
	link, err := netlink.LinkByName(linkName)
	if err != nil {
		link = &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: linkName}}
		if err = netlink.LinkAdd(link); errors.Is(err, syscall.EOPNOTSUPP) {
			link = &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: linkName}}
			err = netlink.LinkAdd(link)
		}
		if err != nil {
			return fmt.Errorf("link %s: %w", linkName, err)
		}
	}
	for _, a := range s.addresses {
		whole := &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(a.BitLen(), a.BitLen())}
		if err := netlink.AddrAdd(link, &netlink.Addr{IPNet: whole}); err != nil && !errors.Is(err, syscall.EEXIST) {
			return fmt.Errorf("address %s of %s: %w", a, linkName, err)
		}
	}
	return nil
}

// run does all of it until it is told to end, or CoreDNS ends by itself: then link and rules stay.
func run(s settings) error {
	content, err := os.ReadFile(template)
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.conf, []byte(s.corefile(string(content))), 0o600); err != nil {
		return err
	}
	if err := s.addLink(); err != nil {
		return err
	}
	told, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	args := []string{"-conf", s.conf}
	if s.pidfile != "" {
		args = append(args, "-pidfile", s.pidfile)
	}
	coredns := exec.Command(program, args...)
	coredns.Stdout, coredns.Stderr = os.Stdout, os.Stderr
	if err := coredns.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- coredns.Wait() }()
	kept, finish := context.WithCancel(told)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.keep(kept)
	}()
	select {
	case err := <-ended:
		finish()
		<-done
		return errors.Join(errors.New("CoreDNS has ended"), err)
	case <-told.Done():
	}
	finish()
	<-done
	err = coredns.Process.Signal(syscall.SIGTERM)
	if err == nil {
		err = <-ended
	}
	err = errors.Join(err, s.removeRules())
	if link, found := netlink.LinkByName(linkName); found == nil {
		err = errors.Join(err, netlink.LinkDel(link))
	}
	return err
}

// keep puts the rules in, and puts right what others change.
func (s settings) keep(ctx context.Context) {
	wait := func(d time.Duration) bool {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(d):
			return true
		}
	}
	for s.pidfile != "" {
		if _, err := os.Stat(s.pidfile); err == nil {
			s.addRules()
			break
		}
		if !wait(time.Second) {
			return
		}
	}
	for wait(interval) {
		s.addRules()
		if err := s.addLink(); err != nil {
			log.Print(err)
		}
	}
}
