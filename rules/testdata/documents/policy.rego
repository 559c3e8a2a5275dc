# METADATA
# title: A policy
package policies.doc.sample

deny contains {"rule": "no_root", "priority": 5} if input.user == "root"

deny contains "plain" if input.user == "mallory"

warn contains {"rule": "late", "reason": sprintf("%d is late", [input.hour])} if input.hour > 20

helper := count(deny)
