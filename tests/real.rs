//! The stories on a real kube-apiserver and etcd, and the stories that need a real API server.
//! `tests/controlplane/cluster` starts the control plane, once for all of them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says so"
)]
#![allow(
    clippy::needless_pass_by_value,
    clippy::type_complexity,
    clippy::too_many_arguments,
    reason = "tables and fakes hand things over as they come"
)]
#![allow(clippy::disallowed_methods, reason = "tests may look at secrets and clocks")]

#[macro_use]
mod support {
    #[macro_use]
    mod everywhere;
    pub mod canary;
    #[allow(dead_code, reason = "the stories in the simulated cluster use it")]
    pub mod classes;
    #[allow(dead_code, reason = "the stories in the simulated cluster use it")]
    pub mod cluster;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod console;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod drivers;
    #[allow(dead_code, reason = "the tests of the chart use the rest")]
    pub mod helm;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod invariants;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod plane;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod policies;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod process;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod random;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod replica;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod report;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod rights;
    pub mod vendor;
    #[allow(dead_code, reason = "the stories in the simulated cluster use the rest")]
    pub mod world;
}
mod charts {
    mod accepted;
}
#[allow(dead_code, reason = "stories that take days run in the simulated cluster only")]
mod stories {
    pub mod admission;
    pub mod adopting;
    pub mod around;
    pub mod attacks;
    pub mod binary;
    pub mod command;
    pub mod drivers;
    pub mod ending;
    pub mod examples;
    pub mod faults;
    pub mod holding;
    pub mod issuing;
    pub mod keeping;
    pub mod leadership;
    pub mod leaking;
    pub mod limits;
    pub mod minting;
    pub mod models;
    pub mod openrouter;
    pub mod plugin;
    pub mod policies;
    pub mod projects;
    pub mod provider_keys;
    pub mod refusals;
    pub mod replicas;
    pub mod rights;
    pub mod rotating;
    pub mod shards;
    pub mod side_by_side;
    pub mod spending;
    pub mod telling;
    pub mod tokens;
    pub mod transitions;
    pub mod validating;
    pub mod vanishing;
}

use support::world::World;

macro_rules! tell {
    ($($module:ident: $($story:ident),+;)+) => {
        $(mod $module {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() {
                let mut world = super::World::real().await;
                super::stories::$module::$story(&mut world).await;
                world.end().await;
            })+
        })+
    };
}

/// The same with two operators; the leadership is taken from each of them again and again.
macro_rules! tell_with_rivals {
    ($($module:ident of $stories:ident: $($story:ident),+;)+) => {
        $(mod $module {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() {
                let mut world = super::World::real().await;
                world.rival().await;
                super::stories::$stories::$story(&mut world).await;
                world.end().await;
            })+
        })+
    };
}

/// One story at one vendor. `tests/gateway.rs` tells those at LiteLLM, at the real one.
macro_rules! tell_at {
    ($place:ident LiteLlm $module:ident: $($story:ident),+) => {};
    ($place:ident $vendor_id:ident $module:ident: $($story:ident),+) => {
        mod $place {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() {
                let vendor_id = keysmith::emulator::VendorId::$vendor_id;
                let mut world = crate::support::world::World::real_at(vendor_id).await;
                crate::stories::$module::$story(&mut world).await;
                world.end().await;
            })+
        }
    };
}

tell_everywhere! {
    policies:
        a_policy_that_refuses_a_secret_is_quoted_and_no_key_is_made,
        an_exceeded_quota_is_reported_and_costs_no_key,
        a_policy_that_adds_to_a_secret_costs_one_key_and_no_loop,
        a_policy_that_takes_the_key_out_costs_no_key;
    around:
        a_secret_is_rewritten_around_its_unchanged_key,
        an_immutable_secret_keeps_its_key_until_it_is_deleted,
        a_replaced_manifest_gets_finalizer_and_claim_back;
    vanishing:
        a_key_that_vanishes_for_half_a_minute_is_kept,
        a_deletion_revokes_a_key_that_no_listing_shows,
        a_leaked_key_that_no_listing_shows_is_revoked,
        an_unused_copy_of_a_key_is_announced_one_poll_before_it_is_revoked;
    drivers:
        every_supported_field_reaches_the_vendor,
        an_edit_reaches_the_same_key_where_the_vendor_can,
        everything_it_cannot_do_is_refused_at_once_and_before_any_call,
        an_expiry_is_moved_and_cleared_as_the_vendor_can,
        a_lost_secret_comes_back_with_a_key_that_works,
        a_refused_token_is_reported_and_a_new_one_is_picked_up;
}

mod minting {
    tell_at!(edenai_v3 EdenAiV3 minting: a_token_is_minted_and_keys_are_made_with_it,
        a_minted_token_is_replaced_and_the_old_one_ends_after_the_new_one_was_used,
        a_key_that_pretends_to_be_a_token_is_refused);
    tell_at!(cortecs Cortecs minting: a_token_is_minted_and_keys_are_made_with_it,
        a_minted_token_is_replaced_and_the_old_one_ends_after_the_new_one_was_used,
        a_token_in_use_is_not_revoked_with_its_key);
    tell_at!(edgee Edgee minting: a_token_that_cannot_be_minted_is_refused_by_its_field);
}

mod projects {
    tell_at!(cortecs Cortecs projects: settings_reach_the_project_and_nothing_else_in_it_changes,
        drift_in_the_console_is_corrected_or_only_shown, of_two_for_one_project_the_first_counts);
}

mod models {
    tell_at!(edgee Edgee models: a_model_that_the_vendor_does_not_list_is_named_with_those_most_like_it);
}

mod openrouter {
    tell_at!(openrouter OpenRouter openrouter:
        a_provider_key_follows_its_keys_and_its_credential_and_ends_with_its_resource);
}

mod ending {
    everywhere!(ending:
        a_retained_key_still_works_and_is_reported,
        a_deletion_during_a_rotation_removes_both_keys,
        a_deletion_without_a_console_token_can_be_forced_by_policy);
    tell_at!(only_edgee Edgee ending:
        a_key_that_is_to_be_disabled_stays_and_does_not_work,
        a_token_and_a_provider_key_can_be_retained_too,
        a_foreign_key_id_in_status_is_not_revoked,
        a_key_that_never_was_leaves_nothing_and_says_nothing);
}

mod leaking {
    everywhere!(leaking:
        a_leak_is_reported_until_the_key_is_revoked_although_the_token_is_refused,
        a_leaked_key_is_revoked_although_its_resource_is_suspended,
        a_leaked_key_is_revoked_at_once_and_never_restored);
    tell_at!(only_edgee Edgee leaking:
        a_leaked_key_is_revoked_while_its_specification_is_refused);
}

mod rotating {
    everywhere!(rotating:
        a_new_trigger_replaces_the_key_once_and_the_old_one_works_on);
    tell_at!(only_edgee Edgee rotating:
        a_rotation_costs_three_writes_and_one_call,
        the_first_value_of_a_trigger_replaces_nothing,
        an_annotation_replaces_the_key_once_for_each_value,
        a_field_that_is_fixed_at_creation_replaces_the_key,
        the_old_key_works_beside_the_new_one_during_a_requested_overlap,
        consumers_are_restarted_once_for_each_key_and_never_at_a_start,
        the_reloader_annotation_is_written_where_requested,
        a_budget_starts_anew_with_a_new_key_where_the_vendor_reports_no_spend_and_status_says_so,
        nothing_is_replaced_while_it_is_suspended_and_all_of_it_after);
}

mod issuing {
    everywhere!(issuing:
        a_new_key_costs_three_writes_and_one_call_and_its_secret_works,
        deleting_the_resource_revokes_the_key_and_leaves_nothing,
        a_shutdown_in_the_middle_of_a_create_call_finishes_it_first,
        a_kill_in_the_middle_of_twenty_creations_leaves_exactly_twenty_keys_that_work);
    tell_at!(only_edgee Edgee issuing:
        a_settled_key_costs_nothing,
        a_restart_reads_only_the_secrets_that_somebody_changed,
        every_field_reaches_the_vendor,
        a_secret_is_shaped_by_its_template,
        an_edit_changes_the_key_in_place_and_only_what_was_edited,
        a_stop_right_after_the_start_ends_at_once,
        a_restart_with_settled_keys_writes_nothing_and_calls_once);
}

mod keeping {
    everywhere!(keeping:
        a_key_deleted_in_the_console_is_issued_again);
    /// At other vendors, a lost key causes another overlap, which the simulated cluster covers because its time can be
    /// paused.
    mod where_a_key_is_shown_again {
        tell_at!(edgee Edgee keeping: an_edited_secret_is_restored);
        tell_at!(edenai_v2 EdenAiV2 keeping: an_edited_secret_is_restored);
    }
    tell_at!(only_edgee Edgee keeping:
        a_status_of_version_0_1_is_understood_and_moves_with_the_next_write,
        a_deleted_secret_comes_back_with_the_same_key,
        settings_drift_in_the_console_is_corrected,
        a_reconcile_request_lists_the_vendor,
        an_amendment_that_the_vendor_ignores_is_reported);
}

mod faults {
    everywhere!(faults:
        a_deletion_waits_for_a_vendor_that_is_down);
    tell_at!(only_edgee Edgee faults:
        a_lost_answer_to_a_create_call_is_found_again_and_not_sent_twice,
        a_500_after_the_key_was_made_is_no_failure,
        a_truncated_answer_to_a_create_call_is_recovered,
        a_refused_create_call_is_reported_with_the_field_and_backs_off,
        a_restart_does_not_shorten_a_wait);
}

mod telling {
    tell_at!(edgee Edgee telling:
        two_events_of_one_reason_keep_their_own_texts,
        a_refused_token_stalls_when_a_second_probe_confirms_it,
        conditions_report_a_budget_that_is_low_exhausted_and_available_again,
        a_copied_manifest_gets_its_key_at_once,
        workloads_that_do_not_exist_are_named_at_once);
    tell_at!(edenai_v3 EdenAiV3 telling:
        conditions_report_a_budget_that_is_low_exhausted_and_available_again,
        a_suspended_key_says_whether_applications_have_it);
}

mod tokens {
    everywhere!(tokens:
        a_restart_between_deletions_still_cleans_up);
    tell_at!(only_edgee Edgee tokens:
        a_token_the_vendor_refuses_says_so_and_recovers_when_its_secret_changes,
        a_token_of_another_organization_says_so,
        a_bundle_of_authorities_is_read_beside_the_secret_of_the_token,
        a_missing_secret_is_named_and_picked_up_when_it_appears,
        bytes_that_cannot_be_a_token_are_never_sent,
        an_endpoint_that_is_not_admitted_gets_nothing,
        malformed_answers_are_reported_and_never_quoted,
        a_token_stays_until_nothing_needs_it_to_clean_up,
        a_token_of_the_same_name_is_another_one,
        a_transient_403_does_not_block_dependents,
        a_key_waits_for_its_token_and_goes_on_when_it_comes);
}

mod refusals {
    everywhere!(refusals:
        a_secret_that_appears_between_the_read_and_the_write_is_not_touched);
    tell_at!(only_edgee Edgee refusals:
        a_foreign_secret_is_refused_before_a_key_is_created,
        of_two_resources_that_name_one_secret_the_first_wins,
        a_specification_that_cannot_be_carried_out_names_the_field,
        an_immutable_secret_type_is_reported_and_changes_after_the_secret_is_deleted);
}

tell! {
    plugin:
        the_plugin_shows_rotates_suspends_and_finds_keys,
        the_plugin_examines_the_installation_and_writes_a_page,
        the_plugin_says_what_is_wrong,
        the_plugin_foresees_what_applying_files_does,
        the_plugin_writes_resources_for_keys_that_exist,
        the_plugin_packs_what_support_needs_without_credentials,
        kubectl_completes_the_plugin;
    adopting:
        a_key_that_exists_is_taken_over_with_its_secret,
        a_key_that_is_not_there_is_named,
        a_key_of_another_resource_or_cluster_is_not_taken_away,
        an_observed_key_is_shown_and_left_alone;
    examples:
        those_for_edgee_become_ready_and_work,
        those_for_eden_ai_v3_become_ready_and_work,
        those_for_eden_ai_v2_become_ready_and_work,
        those_for_cortecs_become_ready_and_work,
        those_for_litellm_become_ready_and_work,
        those_for_openrouter_become_ready_and_work;
    side_by_side:
        each_operator_works_for_its_class_alone,
        what_is_made_with_a_token_follows_it_to_another_class;
    shards:
        every_account_has_exactly_one_shard,
        a_shard_that_is_killed_is_taken_over_by_its_replica_alone,
        shards_of_another_number_wait_for_those_that_lead,
        of_two_numbers_of_shards_that_lead_the_lower_one_steps_back;
    leadership:
        the_other_leads_within_a_second_after_a_graceful_stop,
        the_other_leads_within_the_lease_and_a_second_after_a_kill,
        the_one_that_stands_by_is_ready_and_does_nothing,
        passes_under_way_are_finished_before_the_lease_is_released,
        a_deleted_lease_is_created_again,
        one_operator_alone_is_ready_when_its_caches_are_filled;
    validating:
        what_is_refused_offline_is_what_the_api_server_refuses;
    admission:
        a_console_token_names_exactly_one_known_vendor,
        a_console_token_is_not_pointed_elsewhere,
        a_console_token_is_given_or_minted_and_stays_so,
        admission_reports_what_a_vendor_cannot_honour_as_far_as_the_schema_knows,
        what_has_no_effect_or_cannot_be_is_refused_in_a_sentence,
        a_key_that_cannot_be_is_refused_with_the_field,
        a_provider_key_never_means_the_whole_organization_by_accident,
        immutable_fields_cannot_be_edited,
        a_status_is_in_progress_from_birth;
    provider_keys:
        every_documented_provider_gets_its_format,
        a_provider_key_is_assigned_to_the_keys_it_names_and_follows_them,
        a_changed_credential_reaches_the_vendor_and_the_old_provider_key_is_removed,
        a_provider_key_changed_or_removed_in_the_console_is_restored,
        a_lost_answer_to_a_provider_key_is_recovered,
        a_credential_that_cannot_be_one_is_named_and_never_sent;
    holding:
        a_namespace_deleted_while_the_operator_runs_ends_as_well,
        a_secret_deleted_alone_goes_at_once;
    transitions:
        every_specification_ends_in_ready_or_a_reason_and_editing_back_recovers;
    limits:
        the_policy_and_the_operator_say_the_same,
        rights_and_requests;
    attacks:
        a_stolen_operator_token_is_worth_little,
        a_tenant_names_only_what_it_has_the_right_to;
    rights:
        every_right_is_used;
    command:
        orphans_are_listed_and_removed_from_the_command_line;
    replicas:
        the_binary_takes_over_after_sigterm_and_after_sigkill;
    binary:
        two_hundred_keys_survive_a_sigkill_in_the_middle,
        health_readiness_and_metrics_are_served_and_sigterm_ends_it_well,
        what_the_binary_prints_at_trace_level_holds_no_secret,
        a_namespace_with_everything_in_it_goes,
        a_field_that_cannot_be_decoded_is_reported;
}

tell_with_rivals! {
    faults_with_rivals of faults:
        a_lost_answer_to_a_create_call_is_found_again_and_not_sent_twice,
        a_restart_does_not_shorten_a_wait,
        a_deletion_waits_for_a_vendor_that_is_down;
}
