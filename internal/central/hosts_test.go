package central

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/internal/centralsim"
	"rollcall/internal/policy"
)

func TestWhichHostsMaySeeAToken(t *testing.T) {
	const real, local = "https://api.central.sophos.com", "http://127.0.0.1:8081"
	for _, tt := range []struct{ api, offered, want string }{
		{real, "https://api-eu01.central.sophos.com", "https://api-eu01.central.sophos.com"},
		{real, "https://api-eu01.central.sophos.com/", "https://api-eu01.central.sophos.com"},
		{real, "http://api-eu01.central.sophos.com/", "https://api-eu01.central.sophos.com"},
		{real, "http://api-eu01.central.sophos.com:80", "https://api-eu01.central.sophos.com"},
		{real, "HTTPS://API-US03.Central.Sophos.COM", "https://api-us03.central.sophos.com"},
		{real, "https://sophos.com", "https://sophos.com"},
		{real, real, real},
		{real, "https://sophos.com.example.test", ""},
		{real, "https://notsophos.com", ""},
		{real, "https://api.central.sophos.com.", ""},
		{real, "https://api.central.sophos.com@example.test", ""},
		{real, "https://user:pw@api.central.sophos.com", ""},
		{real, "https://example.test/api.central.sophos.com", ""},
		{real, "https://example.test#.sophos.com", ""},
		{real, "https://example.test?.sophos.com", ""},
		{real, `https://example.test\.sophos.com`, ""},
		{real, "https://xn--sophs-jua.com", ""},
		{real, "https://sophоs.com", ""}, // a Cyrillic o
		{real, "https://127.0.0.1", ""},
		{real, "https://localhost", ""},
		{real, "https://[::1]", ""},
		{real, "ftp://api.central.sophos.com", ""},
		{real, "//api.central.sophos.com", ""},
		{real, "api.central.sophos.com", ""},
		{real, "https://", ""},
		{real, "", ""},
		{"https://central.co.uk", "https://evil.co.uk", ""},
		{"https://github.io", "https://evil.github.io", ""},
		{"https://192.0.2.7", "https://192.0.2.7", "https://192.0.2.7"},
		{"https://192.0.2.7", "https://192.0.2.8", ""},
		{"https://api.central.example.test", "https://eu.example.test:8443", "https://eu.example.test:8443"},
		{local, "http://127.0.0.1:9", "http://127.0.0.1:9"},
		{local, "http://localhost:9", "http://localhost:9"},
		{local, "https://127.0.0.2", "https://127.0.0.2"},
		{local, "http://[::1]:9", "http://[::1]:9"},
		{local, "https://api-eu01.central.sophos.com", ""},
		{local, "http://192.0.2.7", ""},
		{local, "http://localhost.example.test", ""},
		{local, "http://127.0.0.1.example.test", ""},
	} {
		id := "https://id.sophos.com"
		if tt.api == local {
			id = local
		}
		h, err := newHosts(id, tt.api)
		if err != nil {
			t.Fatalf("%s: %v", tt.api, err)
		}
		u, err := h.allow(tt.offered)
		got := ""
		if err == nil {
			got = u.String()
		}
		if got != tt.want {
			t.Errorf("with %s, %q becomes %q, want %q", tt.api, tt.offered, got, tt.want)
		}
	}
}

func TestSettingsThatCannotBeUsed(t *testing.T) {
	good := Options{IDURL: "https://id.sophos.com", APIURL: "https://api.central.sophos.com", Read: Credential{"a", "b"}, Timeout: time.Second}
	for name, spoil := range map[string]func(*Options){
		"http to a real host":               func(o *Options) { o.APIURL = "http://api.central.sophos.com" },
		"http to a real identity host":      func(o *Options) { o.IDURL = "http://id.sophos.com" },
		"a real secret beside a stand-in":   func(o *Options) { o.APIURL = "http://127.0.0.1:1" },
		"a stand-in's secret to a real API": func(o *Options) { o.IDURL = "http://127.0.0.1:1" },
		"no secret":                         func(o *Options) { o.Read.ClientSecret = "" },
		"no timeout":                        func(o *Options) { o.Timeout = 0 },
		"no URL":                            func(o *Options) { o.APIURL = "::" },
	} {
		o := good
		spoil(&o)
		if c, err := New(o); err == nil || c != nil {
			t.Errorf("%s: client %v, error %v", name, c, err)
		}
	}
	if _, err := New(good); err != nil {
		t.Errorf("good settings: %v", err)
	}
}

func TestTokenGoesToNoHostOutside(t *testing.T) {
	dialed := make(chan string, 16)
	r := newRig(t, func(o *centralsim.Options) { o.RegionURL = "http://elsewhere.example.test" }, func(o *Options) {
		o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			dialed <- address
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}
	})
	live, trouble := r.look(t.Context(), t)
	if live.Status != policy.LiveFailed || !trouble.Outage {
		t.Errorf("got %+v, %+v; want a failure of the credential", live, trouble)
	}
	close(dialed)
	for address := range dialed {
		if !strings.HasPrefix(address, "127.0.0.1:") {
			t.Errorf("dialed %s", address)
		}
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	var strangers atomic.Int64
	stranger := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { strangers.Add(1) }))
	defer stranger.Close()
	for _, path := range []string{tokens, "/whoami/v1", devices} {
		for _, status := range []int{301, 302, 303, 307, 308} {
			r := newRig(t, nil, nil)
			r.sim.Fault(centralsim.Fault{Path: path, Status: status, Times: centralsim.Always, Header: http.Header{"Location": {stranger.URL + path}}})
			if live, _ := r.look(t.Context(), t); live.Status != policy.LiveFailed {
				t.Errorf("%s answering %d: status %d, want a failure", path, status, live.Status)
			}
		}
	}
	if n := strangers.Load(); n != 0 {
		t.Errorf("the stranger was called %d times", n)
	}
}
