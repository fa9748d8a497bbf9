package golangci_test

import (
	"testing"

	"github.com/golangci/plugin-module-register/register"
	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii/piivet"
	"github.com/onlyfor/onlyfor/pii/piivet/golangci"
)

func TestThePluginIsRegisteredWithAllRules(t *testing.T) {
	newPlugin, err := register.GetPlugin(golangci.Name)
	require.NoError(t, err)
	plugin, err := newPlugin(nil)
	require.NoError(t, err)
	require.Equal(t, register.LoadModeTypesInfo, plugin.GetLoadMode())
	rules, err := plugin.BuildAnalyzers()
	require.NoError(t, err)
	require.Len(t, rules, len(piivet.Analyzers()))
	for i, rule := range piivet.Analyzers() {
		require.Equal(t, rule.Name, rules[i].Name)
	}
}

func TestSettings(t *testing.T) {
	for name, c := range map[string]struct {
		settings any
		refused  bool
	}{
		"none":         {nil, false},
		"an empty map": {map[string]any{}, false},
		"a map":        {map[string]any{"reveal": []any{"example.com/shop/mail"}}, true},
		"a list":       {[]any{"leak"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			plugin, err := golangci.New(c.settings)
			if c.refused {
				require.ErrorContains(t, err, ".piivet.json")
				require.Nil(t, plugin)
				return
			}
			require.NoError(t, err)
			require.NotNil(t, plugin)
		})
	}
}
