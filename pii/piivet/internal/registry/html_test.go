package registry_test

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/inventory"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/purposes"
	"github.com/onlyfor/onlyfor/pii/piivet/internal/registry"
)

// hostile is a program whose every text wants to be markup.
func hostile() *registry.Registry {
	const bad = `"><script>alert(1)</script><img src=x onerror=alert(2)>`
	basis := purposes.Ref{Bases: []purposes.Basis{{Notice: bad, Legal: bad, Consent: bad, Retain: bad, Collected: bad}}}
	return registry.Link([]inventory.Package{{
		Path:     "example.com/" + bad,
		Purposes: []inventory.Purpose{{Name: bad, Var: bad, Doc: bad, At: bad}},
		Uses:     []inventory.Use{{Op: inventory.Collect, In: bad, Kind: bad, Scope: purposes.Ref{Names: []string{bad}, From: []string{"nx"}}, At: bad}},
		Docs:     map[string]string{bad: bad},
		Graph:    purposes.Graph{Nodes: map[string]*purposes.Node{"nx": {Ref: purposes.Ref{Names: []string{bad}}, Basis: &basis}}},
		Unders:   []inventory.Under{{Scope: purposes.Ref{Names: []string{bad}}, Basis: basis, In: bad, At: bad}},
		Notes:    []inventory.Note{{Directive: "allow", Text: bad + " " + bad, In: bad, At: bad}, {Directive: "purpose", Text: bad}},
	}})
}

func TestHTMLEscapesAllThatComesFromTheCode(t *testing.T) {
	var page bytes.Buffer
	require.NoError(t, hostile().WriteHTML(&page))
	require.Contains(t, page.String(), "&lt;script&gt;")
	require.NotContains(t, page.String(), "<script")
	require.NotContains(t, page.String(), "<img")
	require.NotRegexp(t, `\son[a-z]+=(?:"|'|alert\(1\)">)`, strings.ReplaceAll(page.String(), "&#34;", ""))
}

func TestHTMLNeedsNothingElse(t *testing.T) {
	var page bytes.Buffer
	require.NoError(t, small(use(inventory.Reveal, login, "security")).WriteHTML(&page))
	require.Contains(t, page.String(), `content="default-src 'none'; style-src 'unsafe-inline'"`)
	for _, tag := range []string{"<script", "<link", "<img", "<iframe", "@import", "url(", "http://", "https://"} {
		require.NotContains(t, page.String(), tag)
	}
	for _, href := range regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(page.String(), -1) {
		require.True(t, strings.HasPrefix(href[1], "#"), href[1])
		require.Contains(t, page.String(), `id="`+href[1][1:]+`"`, "a link that leads nowhere")
	}
	require.Contains(t, page.String(), "prefers-color-scheme: dark")
}

func TestTheSameCodeMakesTheSamePage(t *testing.T) {
	uses := []inventory.Use{
		use(inventory.Reveal, login, "security", "billing"), use(inventory.Index, other, "billing"), use(inventory.Hint, other), use(inventory.Index, other), use(inventory.Hint, login), use(inventory.Keys, login), use(inventory.Open, other),
		use(inventory.Collect, login, "security"), use(inventory.Collect, other, "advertising", "security"),
	}
	write := func() string {
		var page bytes.Buffer
		r := small(uses...)
		require.NoError(t, r.WriteHTML(&page))
		require.NoError(t, r.WriteText(&page))
		return page.String()
	}
	first := write()
	for range 20 { // maps are walked in another order each time
		require.Equal(t, first, write())
	}
}

func TestEveryUseIsOnThePageAndInTheText(t *testing.T) {
	for _, op := range registry.Ops {
		r := small(use(op.Op, login, "security"), use(op.Op, other))
		var page, text bytes.Buffer
		require.NoError(t, r.WriteHTML(&page))
		require.NoError(t, r.WriteText(&text))
		for _, out := range []string{page.String(), text.String()} {
			require.Contains(t, out, op.Title)
			require.Contains(t, out, login)
			require.Contains(t, out, other)
			require.Contains(t, out, "nothing in sight sets it")
		}
	}
}
