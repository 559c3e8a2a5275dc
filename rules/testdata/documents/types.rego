package types

import data.fixtures

null_value := null

yes := true

no := false

integer := 42

big := 12345678901234567890

decimal := 1.10

exponent := 1e3

text := "häß\n\"quoted\" <b>&\u2028"

list := [1, "two", [3], {"four": 4}]

numbers contains n if some n in [3, 1, 2, 1.0]

mixed contains v if some v in [null, true, "a", 1, [1], {"k": 1}]

by_number[n] := m if {
	some n in [1, 10, 2]
	m := n * 2
}

by_any := {1: "a", "1": "b", true: "c", null: "d", [1, "<x>"]: "e", {"k": "v"}: "f"}

nested.deep.value := "here"

nested.deep[k] := v if some k, v in {"x": 1, "y": 2}

empty_set contains x if some x in []

empty_object := {}

never if false

half := 1 / 2

third := 1 / 3

sum_of_big := 9007199254740993 + 1

division_by_zero := 1 / 0

partial_error := [x | some x in [1, 0, 2]; y := 2 / x; y > 0]

default fallback := "default"

fallback := input.value

double(x) := x * 2

uses_function := double(21)

from_data := fixtures.table.a

conflict := 1 if input.conflict

conflict := 2 if input.conflict

echo := input

set_of_sets := {{1, 2}, {1}}

else_chain := "a" if {
	input.letter == "a"
} else := "b" if {
	input.letter == "b"
} else := "other"
