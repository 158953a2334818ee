package central

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// errHost is returned for a host that must not see a token.
var errHost = errors.New("host is not Central's")

// hosts knows where a secret and a token may be sent.
type hosts struct {
	id, api  *url.URL
	loopback bool
	domain   string // registered domain of the API's host; empty = that host alone
}

// newHosts checks the two bases that were configured.
func newHosts(idURL, apiURL string) (hosts, error) {
	id, err := configured(idURL)
	if err != nil {
		return hosts{}, fmt.Errorf("identity URL: %w", err)
	}
	api, err := configured(apiURL)
	if err != nil {
		return hosts{}, fmt.Errorf("API URL: %w", err)
	}
	if loopback(id.Hostname()) != loopback(api.Hostname()) {
		return hosts{}, errors.New("identity URL and API URL must both be loopback addresses or neither")
	}
	h := hosts{id: id, api: api, loopback: loopback(api.Hostname())}
	if net.ParseIP(api.Hostname()) == nil {
		if domain, err := publicsuffix.EffectiveTLDPlusOne(api.Hostname()); err == nil {
			h.domain = domain
		}
	}
	return h, nil
}

// configured reads a base URL from the configuration: https, or http to a
// loopback address.
func configured(raw string) (*url.URL, error) {
	u, err := parseBase(raw)
	switch {
	case err != nil:
		return nil, err
	case u.Scheme == "https", u.Scheme == "http" && loopback(u.Hostname()):
		return u, nil
	}
	return nil, errors.New("must be https, or http to a loopback address")
}

// allow reads a base URL that Central handed out, and returns it only where a
// token may be sent to it. Central has been seen to write http:// where it means
// https://, and a slash at the end.
func (h hosts) allow(raw string) (*url.URL, error) {
	u, err := parseBase(raw)
	if err != nil {
		return nil, err
	}
	host := u.Hostname()
	if h.loopback {
		if !loopback(host) {
			return nil, errHost
		}
		return u, nil
	}
	if u.Scheme == "http" {
		u.Scheme = "https"
		if u.Port() == "80" {
			u.Host = host
		}
	}
	under := h.domain != "" && (host == h.domain || strings.HasSuffix(host, "."+h.domain))
	if host != h.api.Hostname() && !under {
		return nil, errHost
	}
	return u, nil
}

// parseBase reads a base URL: a scheme, a host and at most a path.
func parseBase(raw string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil {
		return nil, errors.New("is not a URL")
	}
	u.Scheme = strings.ToLower(u.Scheme)
	u.Host = strings.ToLower(u.Host)
	switch {
	case u.Scheme != "https" && u.Scheme != "http", u.Opaque != "":
		return nil, errors.New("must begin with https://")
	case !plainHost(u.Hostname()):
		return nil, errors.New("has no plain host name")
	case u.User != nil, u.RawQuery != "", u.ForceQuery, u.Fragment != "":
		return nil, errors.New("must hold nothing but scheme, host and path")
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), ""
	return u, nil
}

// plainHost reports whether a host is an IP address or a name of letters, digits,
// hyphens and dots; anything else may be read differently elsewhere.
func plainHost(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Zone() == ""
	}
	for _, label := range strings.Split(host, ".") {
		if label == "" || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return true
}

// loopback reports whether a host is this machine.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
