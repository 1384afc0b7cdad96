package lan

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nkeys"
	"github.com/pion/mdns/v2"
)

func farm(t *testing.T) Coordinator {
	t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	key, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return Coordinator{Network: "dev-1a2b3c4d", Name: "c1", Key: key, Secure: true}
}

// TestFoundIsWhatWasAdvertised over the interfaces of this machine. Where it has
// none that multicasts there is nothing to be tried.
func TestFoundIsWhatWasAdvertised(t *testing.T) {
	conn, err := open()
	if err != nil {
		t.Skipf("no multicast here: %v", err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	want, other := farm(t), farm(t)
	other.Name, other.Secure = "c2", false
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ended := make(chan error, 2)
	for i, c := range []Coordinator{want, other} {
		a := Advertised{Coordinator: c, Listen: "0.0.0.0:" + []string{"4222", "4223"}[i]}
		go func() { ended <- Advertise(ctx, a, slog.New(slog.DiscardHandler)) }()
	}
	left := map[Coordinator]string{want: ":4222", other: ":4223"}
	err = Browse(ctx, func(f Found) {
		if port, ok := left[f.Coordinator]; ok {
			if !strings.HasSuffix(f.Address, port) {
				t.Errorf("found %+v, want port %s", f, port)
			}
			delete(left, f.Coordinator)
		}
		if len(left) == 0 {
			cancel()
		}
	})
	if err != nil {
		t.Error(err)
	}
	cancel()
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if len(left) > 0 {
		t.Errorf("not found in 20 s: %v", left)
	}
}

// TestNonsenseIsNotFound: anybody may answer anything.
func TestNonsenseIsNotFound(t *testing.T) {
	good := farm(t)
	event := func(change func(e *mdns.ServiceEvent)) mdns.ServiceEvent {
		e := mdns.ServiceEvent{Instance: mdns.ServiceInstance{Port: 4222, Text: good.text()}, Addr: netip.MustParseAddr("10.0.0.1")}
		change(&e)
		return e
	}
	text := func(change func(c *Coordinator)) func(*mdns.ServiceEvent) {
		return func(e *mdns.ServiceEvent) {
			c := good
			change(&c)
			e.Instance.Text = c.text()
		}
	}
	for _, tt := range []struct {
		name   string
		change func(e *mdns.ServiceEvent)
		want   string // address; empty for none
	}{
		{"as it should be", func(*mdns.ServiceEvent) {}, "10.0.0.1:4222"},
		{"by IPv6", func(e *mdns.ServiceEvent) { e.Addr = netip.MustParseAddr("fe80::1%eth0") }, "[fe80::1%eth0]:4222"},
		{"no text", func(e *mdns.ServiceEvent) { e.Instance.Text = nil }, ""},
		{"no network", text(func(c *Coordinator) { c.Network = "dev" }), ""},
		{"a name that is none", text(func(c *Coordinator) { c.Name = "a.b" }), ""},
		{"a key that is none", text(func(c *Coordinator) { c.Key = "U" }), ""},
		{"a private key", text(func(c *Coordinator) { c.Key = strings.Replace(c.Key, "U", "S", 1) }), ""},
		{"no port", func(e *mdns.ServiceEvent) { e.Instance.Port = 0 }, ""},
		{"no address", func(e *mdns.ServiceEvent) { e.Addr = netip.Addr{} }, ""},
		{"everybody's address", func(e *mdns.ServiceEvent) { e.Addr = netip.MustParseAddr("224.0.0.251") }, ""},
		{"nobody's address", func(e *mdns.ServiceEvent) { e.Addr = netip.MustParseAddr("0.0.0.0") }, ""},
	} {
		got, ok := parse(event(tt.change))
		if got.Address != tt.want || ok != (tt.want != "") {
			t.Errorf("%s: %+v, %v, want address %q", tt.name, got, ok, tt.want)
		}
	}
}

// TestAdvertisedIsChecked before anybody hears of it.
func TestAdvertisedIsChecked(t *testing.T) {
	good := farm(t)
	for _, tt := range []struct{ listen, says string }{
		{"nonsense", "missing port in address"}, {"0.0.0.0:no-such-port", "unknown port"},
	} {
		err := Advertise(t.Context(), Advertised{good, tt.listen}, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q", tt.listen, err, tt.says)
		}
	}
	if err := Advertise(t.Context(), Advertised{Coordinator{Name: "c1"}, "0.0.0.0:1"}, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a coordinator without network and key is advertised")
	}
}
