// Renders Go templates as Ollama does, and tells which characters Go can't print. JSON in, JSON out.
package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strconv"
	"text/template"
	"unicode"
)

type message struct{ Role, Content string }

type question struct {
	Template string
	Messages []*message
}

type answer struct{ Text, Error string }

// What Ollama gives a template: messages of one role in a row become one, and all system messages stand together.
func values(messages []*message) map[string]any {
	system := ""
	joined := []*message{}
	for _, m := range messages {
		if m.Role == "system" {
			if system != "" {
				system += "\n\n"
			}
			system += m.Content
		}
		last := len(joined) - 1
		if last >= 0 && joined[last].Role == m.Role && m.Role != "tool" {
			joined[last].Content += "\n\n" + m.Content
			continue
		}
		joined = append(joined, m)
	}
	return map[string]any{"System": system, "Messages": joined, "Response": ""}
}

func render(q question) answer {
	parsed, err := template.New("").Option("missingkey=zero").Parse(q.Template)
	if err != nil {
		return answer{Error: err.Error()}
	}
	var out bytes.Buffer
	if err := parsed.Execute(&out, values(q.Messages)); err != nil {
		return answer{Error: err.Error()}
	}
	return answer{Text: out.String()}
}

func unprintable() []int {
	found := []int{}
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if !strconv.IsPrint(r) {
			found = append(found, int(r))
		}
	}
	return found
}

func main() {
	out := json.NewEncoder(os.Stdout)
	if len(os.Args) > 1 && os.Args[1] == "unprintable" {
		out.Encode(unprintable())
		return
	}
	var questions []question
	if err := json.NewDecoder(os.Stdin).Decode(&questions); err != nil {
		panic(err)
	}
	answers := []answer{}
	for _, q := range questions {
		answers = append(answers, render(q))
	}
	out.Encode(answers)
}
