package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/onlyfor/onlyfor/vault/cmd/onlyfor/internal/term"
)

// printHelp prints the help of the command that ctx has selected, in the width of the
// terminal.
func printHelp(_ kong.HelpOptions, ctx *kong.Context) error {
	node := ctx.Selected()
	if node == nil {
		node = ctx.Model.Node
	}
	writeHelp(ctx.Stdout, term.Width(ctx.Stdout), node)
	return nil
}

// writeHelp writes the help of a command.
func writeHelp(w io.Writer, width int, node *kong.Node) {
	term.Text(w, width, "Usage: "+usageOf(node))
	fmt.Fprintln(w)
	term.Text(w, width, helpOf(node))
	section := func(title string, fields []term.Field) {
		if len(fields) > 0 {
			fmt.Fprintf(w, "\n%s:\n", title)
			term.Fields(w, width, fields...)
		}
	}
	section("Arguments", argumentsOf(node))
	section("Commands", commandsOf(node))
	section("Flags", flagsOf(node))
}

// usageOf returns the way to write a command.
func usageOf(node *kong.Node) string {
	parts := []string{node.FullPath()}
	if len(node.Children) > 0 {
		parts = append(parts, "<command>")
	}
	for _, arg := range node.Positional {
		parts = append(parts, argumentName(arg))
	}
	for _, f := range node.Flags {
		if f.Required {
			parts = append(parts, "--"+f.Name+"="+f.FormatPlaceHolder())
		}
	}
	return strings.Join(append(parts, "[flags]"), " ")
}

func argumentName(arg *kong.Value) string {
	name := "<" + arg.Name + ">"
	if arg.IsSlice() {
		name += " ..."
	}
	if !arg.Required {
		name = "[" + name + "]"
	}
	return name
}

func helpOf(node *kong.Node) string {
	if node.Detail != "" {
		return node.Help + "\n\n" + node.Detail
	}
	return node.Help
}

func argumentsOf(node *kong.Node) (fields []term.Field) {
	for _, arg := range node.Positional {
		fields = append(fields, term.Field{Name: argumentName(arg), Text: arg.Help})
	}
	return fields
}

// commandsOf returns the commands below node, to the last level.
func commandsOf(node *kong.Node) (fields []term.Field) {
	for _, child := range node.Children {
		fields = append(fields, term.Field{Name: strings.TrimPrefix(child.FullPath(), node.FullPath()+" "), Text: child.Help})
	}
	return fields
}

// flagsOf returns the flags of a command, and the flags of the whole program after them.
func flagsOf(node *kong.Node) (fields []term.Field) {
	groups := node.AllFlags(true)
	for i := len(groups) - 1; i >= 0; i-- {
		for _, f := range groups[i] {
			fields = append(fields, term.Field{Name: flagName(f), Text: f.Help})
		}
	}
	return fields
}

func flagName(f *kong.Flag) string {
	name := "--" + f.Name
	if f.Short != 0 {
		name = fmt.Sprintf("-%c, %s", f.Short, name)
	}
	if !f.IsBool() {
		name += "=" + f.FormatPlaceHolder()
	}
	return name
}
