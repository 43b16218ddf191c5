// Made by `npm run types`; don't edit it by hand.
export type paths = Record<string, never>;
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /**
         * About
         * @description memory and disk in bytes. language: what the system speaks, as the page's first choice.
         */
        About: {
            /** Version */
            version: string;
            /** Workspace */
            workspace: string;
            /** Language */
            language: string;
            /** Devices */
            devices: components["schemas"]["Device"][];
            /** Memory Total */
            memory_total: number;
            /** Memory Free */
            memory_free: number;
            /** Disk Free */
            disk_free: number;
            /** Exposed */
            exposed: boolean;
            /** Cpus */
            cpus: number;
            /** Python */
            python: string;
        };
        /** Added */
        Added: {
            /** Name */
            name: string;
        };
        /**
         * Again
         * @description api_key: for a job that asks a server; handed to the process in its environment, never kept.
         */
        Again: {
            /** Devices */
            devices?: string[] | null;
            /** Api Key */
            api_key?: string | null;
        };
        /**
         * Bar
         * @description Rows of `from` to `to` tokens.
         */
        Bar: {
            /** From */
            from: number;
            /** To */
            to: number;
            /** Count */
            count: number;
        };
        /**
         * Checked
         * @description resolved: every field with its value, where the settings make a job; notes tell what has no effect.
         */
        Checked: {
            /** Ok */
            ok: boolean;
            /** Problems */
            problems: components["schemas"]["Problem"][];
            /** Notes */
            notes: string[];
            /** Resolved */
            resolved: {
                [key: string]: unknown;
            } | null;
        };
        /**
         * CheckpointInfo
         * @description best: the one with the lowest evaluation loss.
         */
        CheckpointInfo: {
            /** Step */
            step: number;
            /** Path */
            path: string;
            /** Eval Loss */
            eval_loss?: number | null;
            /**
             * Best
             * @default false
             */
            best: boolean;
        };
        /** Command */
        Command: {
            /** Yaml */
            yaml: string;
            /** Cli */
            cli: string;
            /** Windows */
            windows: string;
        };
        /**
         * CommandLine
         * @description The command that does the same, for each shell. key_variable: the environment variable from which it takes the
         *     key, empty where nobody is asked who wants one.
         */
        CommandLine: {
            /** Bash */
            bash: string;
            /** Powershell */
            powershell: string;
            /** Key Variable */
            key_variable: string;
        };
        /**
         * Comparison
         * @description metrics: name → last value in each run; series: metric → points in each run.
         */
        Comparison: {
            /** Runs */
            runs: components["schemas"]["Summary"][];
            /** Config */
            config: components["schemas"]["Difference"][];
            /** Metrics */
            metrics: {
                [key: string]: (number | null)[];
            };
            /** Series */
            series: {
                [key: string]: [
                    number,
                    number | null
                ][][];
            };
        };
        /**
         * Conversation
         * @description content: what the page keeps of it (messages, settings, model); revision: given back when saving.
         */
        Conversation: {
            /** Id */
            id: string;
            /**
             * Title
             * @default
             */
            title: string;
            /**
             * Updated
             * @default 0
             */
            updated: number;
            /**
             * Revision
             * @default
             */
            revision: string;
            /**
             * Content
             * @default {}
             */
            content: {
                [key: string]: unknown;
            };
        };
        /**
         * Curves
         * @description series: metric → [step, value or null where it was no number]. total: points before thinning.
         *
         *     offset: where the page's event stream goes on from, as a cursor has it.
         */
        Curves: {
            /** Series */
            series: {
                [key: string]: [
                    number,
                    number | null
                ][];
            };
            /** Total */
            total: {
                [key: string]: number;
            };
            /** Words */
            words: components["schemas"]["Word"][];
            /** Offset */
            offset: string;
        };
        /**
         * Cutoff
         * @description What a cutoff_len would cut off, and how full packed rows would be (a share of 1).
         */
        Cutoff: {
            /** Cutoff */
            cutoff: number;
            /** Truncated Rows */
            truncated_rows: number;
            /** Truncated Tokens */
            truncated_tokens: number;
            /** Packed Rows */
            packed_rows: number;
            /** Fill */
            fill: number;
        };
        /** DataFile */
        DataFile: {
            /** Path */
            path: string;
            /** Bytes */
            bytes: number;
            /** Encoding */
            encoding: string;
        };
        /**
         * Deletion
         * @description folder: relative to the workspace; bytes: of all that goes in it. weights: whether trained ones go; predictions:
         *     whether those of an evaluation do.
         *
         *     answers: whether a model's answers stay, which a job of authoring of the same name would use again. exported: the
         *     folder of an export, dataset: the name of a data set, others: files of anyone else in the folder; these stay too.
         *     loaded: whether the chat has its model loaded; exports: the exports that name it, which of those waiting or at work
         *     can't go on without it.
         */
        Deletion: {
            /** Folder */
            folder: string;
            /** Bytes */
            bytes: number;
            /** Checkpoints */
            checkpoints: number;
            /** Weights */
            weights: boolean;
            /** Predictions */
            predictions: boolean;
            /** Answers */
            answers: boolean;
            /**
             * Exported
             * @default
             */
            exported: string;
            /**
             * Dataset
             * @default
             */
            dataset: string;
            /**
             * Others
             * @default []
             */
            others: string[];
            /**
             * Loaded
             * @default false
             */
            loaded: boolean;
            /**
             * Exports
             * @default []
             */
            exports: string[];
        };
        /**
         * Detail
         * @description asked: the settings that were given; config: every setting as it ran; last: the newest value of each metric.
         *     remedies: settings to lay over `asked` and try again with, where it failed. room: where that was for a full disk.
         */
        Detail: {
            summary: components["schemas"]["Summary"];
            /** Asked */
            asked: {
                [key: string]: unknown;
            };
            /** Config */
            config: {
                [key: string]: unknown;
            };
            /** Environment */
            environment: {
                [key: string]: unknown;
            };
            /** Last */
            last: {
                [key: string]: number | null;
            };
            /** Checkpoints */
            checkpoints: components["schemas"]["CheckpointInfo"][];
            /** Events */
            events: {
                [key: string]: unknown;
            }[];
            /** Warnings */
            warnings: string[];
            /** Remedies */
            remedies: components["schemas"]["Remedy"][];
            room: components["schemas"]["Room"] | null;
            /** Refused Rows */
            refused_rows: number;
            /** Files */
            files: components["schemas"]["FileInfo"][];
            /** Attempt */
            attempt: number;
            /** Pid */
            pid: number | null;
            /** Host */
            host: string | null;
        };
        /**
         * Device
         * @description memory, free: bytes. id: the number that CUDA_VISIBLE_DEVICES takes, or `cpu`.
         */
        Device: {
            /** Id */
            id: string;
            /** Name */
            name: string;
            /** Memory */
            memory: number;
            /** Free */
            free: number;
        };
        /** Difference */
        Difference: {
            /** Key */
            key: string;
            /** Values */
            values: unknown[];
        };
        /**
         * Estimate
         * @description Bytes at the peak of a step over the longest rows, by what they are for: weights, gradients, optimizer,
         *     activations, logits, runtime. available: free on the device now; memory: all it has. longest: tokens of those rows;
         *     at_most: whether that is the cutoff, as the rows themselves are not known.
         */
        Estimate: {
            /** Parts */
            parts: {
                [key: string]: number;
            };
            /** Total */
            total: number;
            /** Available */
            available: number;
            /** Memory */
            memory: number;
            /** Fits */
            fits: boolean;
            /** Trainable */
            trainable: number;
            /** Parameters */
            parameters: number;
            /** Checkpointing */
            checkpointing: boolean;
            /** Longest */
            longest: number;
            /** At Most */
            at_most: boolean;
            /** Note */
            note: string;
        };
        /**
         * Evaluated
         * @description What is to be evaluated, as a person names it: a run, a checkpoint, an adapter, a folder or a hub id.
         */
        Evaluated: {
            /** Place */
            place: string;
        };
        /**
         * Evaluation
         * @description metrics: so far, while it is at work. rows: questions in all; answered: of those, failed: could not be asked.
         *
         *     predicts, compares: whether answers were asked for, and of the base model too.
         */
        Evaluation: {
            /** Metrics */
            metrics: components["schemas"]["Score"][];
            /** Rows */
            rows: number | null;
            /** Answered */
            answered: number;
            /** Failed */
            failed: number;
            /** Predicts */
            predicts: boolean;
            /** Compares */
            compares: boolean;
        };
        /** Event */
        Event: {
            /**
             * Type
             * @enum {string}
             */
            type: "runs" | "run";
            /** Data */
            data: {
                [key: string]: unknown;
            };
        };
        /**
         * Exported
         * @description verified: how each file compares with the trained model, where that was asked for. model: what can be talked to,
         *     "" for adapters alone. ollama: the command that runs the model there, or makes it of the Modelfile.
         */
        Exported: {
            /** Folder */
            folder: string;
            /** Files */
            files: components["schemas"]["tunesmith__web__api__exports__Written"][];
            /** Verified */
            verified: components["schemas"]["ExportedFile"][];
            /** Modelfile */
            modelfile?: string | null;
            /**
             * Model
             * @default
             */
            model: string;
            /**
             * Ollama
             * @default
             */
            ollama: string;
        };
        /**
         * ExportedFile
         * @description agreement: share of positions with the same likeliest token; divergence: nats per token; losses on held-out
         *     rows.
         */
        ExportedFile: {
            /** File */
            file: string;
            /**
             * Kind
             * @default
             */
            kind: string;
            /**
             * Size
             * @default 0
             */
            size: number;
            /**
             * Cases
             * @default 0
             */
            cases: number;
            /**
             * Prompts
             * @default 0
             */
            prompts: number;
            /**
             * Ids
             * @default 0
             */
            ids: number;
            /** Agreement */
            agreement?: number | null;
            /** Divergence */
            divergence?: number | null;
            /** Loss */
            loss?: number | null;
            /** Reference Loss */
            reference_loss?: number | null;
            /**
             * Status
             * @enum {string}
             */
            status: "pass" | "warn" | "fail";
            /**
             * Detail
             * @default
             */
            detail: string;
            /**
             * Fix
             * @default
             */
            fix: string;
        };
        /** Fault */
        Fault: {
            /** Field */
            field: string | null;
            /** Message */
            message: string;
            /**
             * Hint
             * @default
             */
            hint: string;
        };
        /** FileInfo */
        FileInfo: {
            /** Path */
            path: string;
            /** Bytes */
            bytes: number;
        };
        /** Finding */
        Finding: {
            /**
             * Status
             * @enum {string}
             */
            status: "pass" | "warn" | "fail";
            /** What */
            what: string;
            /** Detail */
            detail: string;
            /**
             * Fix
             * @default
             */
            fix: string;
        };
        /** Fix */
        Fix: {
            /**
             * Fix
             * @enum {string}
             */
            fix: "refused" | "duplicates";
            /** Revision */
            revision: string;
        };
        /** Help */
        Help: {
            /** Key */
            key: string;
            /** Text */
            text: string;
        };
        /**
         * Id
         * @description The run that was begun, or that something was done to: its folder as the workspace calls it.
         */
        Id: {
            /** Id */
            id: string;
        };
        /**
         * Imported
         * @description notes: what was renamed and what has no effect. refused: what the verb refuses; it is among the settings.
         */
        Imported: {
            /** Settings */
            settings: {
                [key: string]: unknown;
            };
            /** Notes */
            notes: string[];
            /** Refused */
            refused: components["schemas"]["Problem"][];
        };
        /**
         * Known
         * @description settings: keys of a config file that say which model it is, and which rows were held back from it.
         */
        Known: {
            /** Settings */
            settings: {
                [key: string]: unknown;
            };
        };
        /** Lengths */
        Lengths: {
            /** Histogram */
            histogram: components["schemas"]["Bar"][];
            /** Cutoffs */
            cutoffs: components["schemas"]["Cutoff"][];
            /** Total */
            total: number;
            /** Longest */
            longest: number;
            /** Median */
            median: number;
        };
        /**
         * Listed
         * @description place: a file, or a repository on a hub. missing: the file is not there. problem: of its entry.
         */
        Listed: {
            /** Name */
            name: string;
            /**
             * Place
             * @default
             */
            place: string;
            /**
             * Location
             * @default
             */
            location: string;
            /** Bytes */
            bytes?: number | null;
            /**
             * Missing
             * @default false
             */
            missing: boolean;
            /** Formatting */
            formatting?: string | null;
            /**
             * Ranking
             * @default false
             */
            ranking: boolean;
            /**
             * Problem
             * @default
             */
            problem: string;
        };
        /**
         * Log
         * @description attempt: whose log, 0 for what was printed at the start. offset: bytes, for the event stream.
         */
        Log: {
            /** Lines */
            lines: string[];
            /** Attempt */
            attempt: number;
            /** Offset */
            offset: number;
            /** Complete */
            complete: boolean;
        };
        /**
         * Look
         * @description How a data set is read. found: the columns there are; columns, tags: what stands for what; problem: why it can't
         *     be read at all. told: the format or the columns stand in the entry. guess: what a person may take for question and
         *     answer where nothing tells. unasked: rows with an empty question, unasked_at: the places of the first. lengths: only
         *     where a model is named.
         */
        Look: {
            /** Name */
            name: string;
            /** Files */
            files: components["schemas"]["DataFile"][];
            /** Revision */
            revision: string;
            /** Found */
            found: string[];
            /**
             * Told
             * @default false
             */
            told: boolean;
            /**
             * Guess
             * @default {}
             */
            guess: {
                [key: string]: string;
            };
            /** Format */
            format?: string | null;
            problem?: components["schemas"]["Told"] | null;
            /**
             * Columns
             * @default {}
             */
            columns: {
                [key: string]: string;
            };
            /**
             * Tags
             * @default {}
             */
            tags: {
                [key: string]: string;
            };
            /**
             * Rows
             * @default 0
             */
            rows: number;
            /**
             * Usable
             * @default 0
             */
            usable: number;
            /**
             * Reasons
             * @default {}
             */
            reasons: {
                [key: string]: number;
            };
            /**
             * Refusals
             * @default []
             */
            refusals: components["schemas"]["RefusedRow"][];
            /**
             * Duplicates
             * @default 0
             */
            duplicates: number;
            /**
             * Near Duplicates
             * @default 0
             */
            near_duplicates: number;
            /**
             * Contradictions
             * @default 0
             */
            contradictions: number;
            /**
             * Unasked
             * @default 0
             */
            unasked: number;
            /**
             * Unasked At
             * @default []
             */
            unasked_at: string[];
            /**
             * Placeholders
             * @default {}
             */
            placeholders: {
                [key: string]: number;
            };
            /**
             * Notes
             * @default []
             */
            notes: string[];
            lengths?: components["schemas"]["Lengths"] | null;
        };
        /**
         * Made
         * @description fitting: rows that fit the question; kept, held, decided: of all; kinds: held back rows by kind of reason.
         *     written: whether there is a data set; unwritten: decisions that it does not have yet.
         */
        Made: {
            /** Rows */
            rows: components["schemas"]["MadeRow"][];
            /** Fitting */
            fitting: number;
            /** Kept */
            kept: number;
            /** Held */
            held: number;
            /** Decided */
            decided: number;
            /** Kinds */
            kinds: {
                [key: string]: number;
            };
            /** Written */
            written: boolean;
            /** Unwritten */
            unwritten: number;
        };
        /**
         * MadeRow
         * @description source: the document; start, end: characters of it that the chunk holds. kind, reason: why it is held back; empty
         *     where it is not. by_hand: a person decided so. grounding: share of the answer's words that stand in the chunk.
         */
        MadeRow: {
            /** Key */
            key: string;
            /** Question */
            question: string;
            /** Answer */
            answer: string;
            /**
             * Kind
             * @default
             */
            kind: string;
            /**
             * Reason
             * @default
             */
            reason: string;
            /**
             * By Hand
             * @default false
             */
            by_hand: boolean;
            /**
             * Source
             * @default
             */
            source: string;
            /**
             * Source Title
             * @default
             */
            source_title: string;
            /**
             * Source Heading
             * @default
             */
            source_heading: string;
            /** Source Page */
            source_page?: number | null;
            /** Source Start */
            source_start?: number | null;
            /** Source End */
            source_end?: number | null;
            /**
             * Style
             * @default
             */
            style: string;
            /**
             * Evidence
             * @default
             */
            evidence: string;
            /** Grounding */
            grounding?: number | null;
            /** Judge Score */
            judge_score?: number | null;
            /**
             * Judge Reason
             * @default
             */
            judge_reason: string;
        };
        /**
         * Mapping
         * @description How the entry is to be read: a format, and columns or tags by the names of dataset_info.json. null: none, where a
         *     name that is left out stands for its usual column.
         */
        Mapping: {
            /** Formatting */
            formatting?: string | null;
            /**
             * Columns
             * @default {}
             */
            columns: {
                [key: string]: string | null;
            };
            /**
             * Tags
             * @default {}
             */
            tags: {
                [key: string]: string | null;
            };
        };
        /** Mask */
        Mask: {
            /** Samples */
            samples: components["schemas"]["Sample"][];
            /** Notes */
            notes: string[];
            /** Template */
            template: string | null;
        };
        /**
         * ModelChoice
         * @description path: relative to the workspace, or a hub id. base: the model that a run or adapter was made for.
         */
        ModelChoice: {
            /** Path */
            path: string;
            /** Name */
            name: string;
            /**
             * Kind
             * @enum {string}
             */
            kind: "run" | "checkpoint" | "model" | "gguf";
            /** Base */
            base?: string | null;
        };
        /**
         * NewEvaluation
         * @description settings: keys of a config file; answers are generated unless `predict_with_generate` is false. devices: ids of
         *     `about`; left out, all. trusted: the person agreed to run code that ships with the model. beside: where its
         *     folder is taken, one beside it will do.
         */
        NewEvaluation: {
            /** Settings */
            settings: {
                [key: string]: unknown;
            };
            /** Devices */
            devices?: string[] | null;
            /**
             * Trusted
             * @default false
             */
            trusted: boolean;
            /**
             * Beside
             * @default false
             */
            beside: boolean;
        };
        /**
         * NewRow
         * @description row, or text in the form of the file: a JSON object, a line of a table.
         */
        NewRow: {
            /** Row */
            row?: {
                [key: string]: unknown;
            } | null;
            /**
             * Text
             * @default
             */
            text: string;
            /** Revision */
            revision: string;
        };
        /**
         * NewRun
         * @description devices: ids of `about`; left out, all. trusted: the person agreed to run code that ships with the model.
         *
         *     free_port: processes of a training meet at a port that is free, whatever MASTER_PORT says. beside: where the folder
         *     of a training is taken, one beside it will do.
         */
        NewRun: {
            /**
             * Verb
             * @default train
             * @enum {string}
             */
            verb: "train" | "export";
            /** Settings */
            settings: {
                [key: string]: unknown;
            };
            /** Devices */
            devices?: string[] | null;
            /**
             * Trusted
             * @default false
             */
            trusted: boolean;
            /**
             * Free Port
             * @default false
             */
            free_port: boolean;
            /**
             * Beside
             * @default false
             */
            beside: boolean;
        };
        /** News */
        News: {
            /** Cursor */
            cursor: string;
            /** Events */
            events: components["schemas"]["Event"][];
        };
        /**
         * Option
         * @description One option of a command. kind: text, number, switch, choice or list. automatic: whether a value is found where
         *     none is given.
         */
        Option: {
            /** Name */
            name: string;
            /** Help */
            help: string;
            /** Kind */
            kind: string;
            /**
             * Choices
             * @default []
             */
            choices: string[];
            /** Default */
            default?: unknown;
            /**
             * Automatic
             * @default false
             */
            automatic: boolean;
        };
        /**
         * Order
         * @description seen: the order that the person changed; it is refused where the queue has another by now.
         */
        Order: {
            /** Ids */
            ids: string[];
            /** Seen */
            seen?: string[] | null;
        };
        /** Page */
        Page: {
            /** Rows */
            rows: components["schemas"]["Prediction"][];
            /** Total */
            total: number;
        };
        /** Piece */
        Piece: {
            /** Text */
            text: string;
            /** Ids */
            ids: number[];
            /**
             * Kind
             * @enum {string}
             */
            kind: "trained" | "masked" | "truncated" | "special";
            /** Trained */
            trained: boolean;
        };
        /** Place */
        Place: {
            /** Place */
            place: string;
        };
        /**
         * Prediction
         * @description prompt: as the model saw it; messages: the same as turns. error: why it could not be asked. place: file and line
         *     of the row in the data.
         */
        Prediction: {
            /** Index */
            index: number;
            /** Prompt */
            prompt: string;
            /**
             * Messages
             * @default []
             */
            messages: components["schemas"]["Turn-Output"][];
            /** Label */
            label: string;
            /** Predict */
            predict: string;
            /** Thinking */
            thinking?: string | null;
            /**
             * Scores
             * @default {}
             */
            scores: {
                [key: string]: number;
            };
            /** Base */
            base?: string | null;
            /**
             * Base Scores
             * @default {}
             */
            base_scores: {
                [key: string]: number;
            };
            /** Error */
            error?: string | null;
            /**
             * Place
             * @default
             */
            place: string;
        };
        /**
         * Problem
         * @description offer: settings that would mend it, where they can be told. run: the run at work that is in the way.
         */
        Problem: {
            /** Field */
            field: string | null;
            /** Message */
            message: string;
            /**
             * Hint
             * @default
             */
            hint: string;
            /**
             * Level
             * @default error
             * @enum {string}
             */
            level: "error" | "note";
            /**
             * Offer
             * @default {}
             */
            offer: {
                [key: string]: unknown;
            };
            /** Run */
            run?: string | null;
        };
        /**
         * Question
         * @description base: answer without the adapter. seed: left out or negative, another each time (the answer tells which).
         */
        Question: {
            /** Messages */
            messages: components["schemas"]["Turn-Input"][];
            /** System */
            system?: string | null;
            /**
             * Tools
             * @default []
             */
            tools: {
                [key: string]: unknown;
            }[];
            /**
             * Settings
             * @default {}
             */
            settings: {
                [key: string]: unknown;
            };
            /** Seed */
            seed?: number | null;
            /**
             * Base
             * @default false
             */
            base: boolean;
        };
        /**
         * Reading
         * @description The settings that decide how rows are read: model, template, stage, cutoff_len and the like.
         */
        Reading: {
            /**
             * Settings
             * @default {}
             */
            settings: {
                [key: string]: unknown;
            };
            /**
             * Offset
             * @default 0
             */
            offset: number;
            /**
             * Limit
             * @default 20
             */
            limit: number;
        };
        /**
         * Refusal
         * @description What every answer with a status from 400 on holds. field: the config key or parameter at fault.
         */
        Refusal: {
            /** Message */
            message: string;
            /**
             * Hint
             * @default
             */
            hint: string;
            /** Field */
            field?: string | null;
        };
        /** RefusedRow */
        RefusedRow: {
            /** File */
            file: string;
            /** Line */
            line: number;
            /** Reason */
            reason: string;
        };
        /**
         * Rejected
         * @description Rows that were held back, with their reasons, as the job wrote them.
         */
        Rejected: {
            /** Rows */
            rows: {
                [key: string]: unknown;
            }[];
            /** More */
            more: boolean;
        };
        /**
         * Remedy
         * @description what: for translation; settings: laid over the run's own.
         *
         *     names: what stands in the words for it. needs: a command to give first, where something has to be installed.
         *     asks: a setting that the person gives first, one of `choices` where there are any. link: a page to look at for that.
         *     free_port: whether MASTER_PORT is to be left out of the process's environment.
         */
        Remedy: {
            /** What */
            what: string;
            /**
             * Settings
             * @default {}
             */
            settings: {
                [key: string]: unknown;
            };
            /**
             * Names
             * @default {}
             */
            names: {
                [key: string]: string;
            };
            /**
             * Needs
             * @default
             */
            needs: string;
            /**
             * Asks
             * @default
             */
            asks: string;
            /**
             * Choices
             * @default []
             */
            choices: string[];
            /**
             * Link
             * @default
             */
            link: string;
            /**
             * Free Port
             * @default false
             */
            free_port: boolean;
        };
        /**
         * RemovedRow
         * @description file: the number of its file; line: by which it is put back.
         */
        RemovedRow: {
            /** File */
            file: number;
            /** Line */
            line: string;
            /** Row */
            row: {
                [key: string]: unknown;
            };
        };
        /**
         * Room
         * @description free: bytes. taken: the largest first.
         */
        Room: {
            /** Free */
            free: number;
            /** Taken */
            taken: components["schemas"]["Taken"][];
        };
        /**
         * Rows
         * @description columns: those that a row may have.
         */
        Rows: {
            /** Rows */
            rows: components["schemas"]["ShownRow"][];
            /** Columns */
            columns: string[];
            /** Editable */
            editable: boolean;
            /** Revision */
            revision: string;
            problem?: components["schemas"]["Told"] | null;
        };
        /** Sample */
        Sample: {
            /** Number */
            number: number;
            /** Line */
            line: number;
            /** Problem */
            problem: string | null;
            /**
             * Tokens
             * @default 0
             */
            tokens: number;
            /**
             * Trained
             * @default 0
             */
            trained: number;
            /** Pieces */
            pieces: components["schemas"]["Piece"][];
        };
        /** Samples */
        Samples: {
            /** Samples */
            samples: {
                [key: string]: unknown;
            }[];
        };
        /**
         * Score
         * @description base: the same of the model with its adapter off. unit: `%` for a value from 0 to 100.
         */
        Score: {
            /** Name */
            name: string;
            /** Value */
            value: number | null;
            /** Base */
            base?: number | null;
            /**
             * Lower Is Better
             * @default false
             */
            lower_is_better: boolean;
            /**
             * Unit
             * @default
             * @enum {string}
             */
            unit: "" | "%";
        };
        /** Sent */
        Sent: {
            /** Name */
            name: string;
            /** File */
            file: string;
        };
        /**
         * Session
         * @description tuned: there is an adapter, so that the model can answer without it too. room: most tokens it takes.
         */
        Session: {
            /** Session */
            session: string;
            /**
             * Status
             * @default loading
             * @enum {string}
             */
            status: "loading" | "ready" | "failed";
            /** Model */
            model: string;
            /** Adapter */
            adapter?: string | null;
            /**
             * Name
             * @default
             */
            name: string;
            /**
             * Tuned
             * @default false
             */
            tuned: boolean;
            /** Room */
            room?: number | null;
            /**
             * Template
             * @default
             */
            template: string;
            /** System */
            system?: string | null;
            /**
             * Notes
             * @default []
             */
            notes: string[];
            /**
             * Message
             * @default
             */
            message: string;
            /**
             * Hint
             * @default
             */
            hint: string;
            /** Field */
            field?: string | null;
        };
        /**
         * ShownRow
         * @description row: null where it can't be read; text is then what stands there. problem: why it is not used.
         */
        ShownRow: {
            /** Number */
            number: number;
            /** File */
            file: string;
            /** Line */
            line: number;
            /** Row */
            row: {
                [key: string]: unknown;
            } | null;
            /** Text */
            text?: string | null;
            /** Problem */
            problem?: string | null;
        };
        /**
         * Source
         * @description The settings that name the model of a run, a checkpoint, an adapter or a folder.
         */
        Source: {
            /** Settings */
            settings: {
                [key: string]: unknown;
            };
        };
        /** Speaker */
        Speaker: {
            /** Name */
            name: string;
            /** Lines */
            lines: number;
        };
        /**
         * Speakers
         * @description Who speaks, those who speak most first.
         */
        Speakers: {
            /** Speakers */
            speakers: components["schemas"]["Speaker"][];
        };
        /**
         * Style
         * @description A kind of question.
         */
        Style: {
            /** Name */
            name: string;
            /** Asks */
            asks: string;
        };
        /**
         * Summary
         * @description One run in the list. Times are seconds since the epoch, eta seconds, progress a share of 1.
         *
         *     model: the base model. of: what it evaluates, exports or compares, where that is not the base model itself.
         *     stage: what it does now, in words, where its steps don't say it.
         *     usable: whether it holds a trained model, to chat with, evaluate and export, and nothing is at work on it.
         *     missing: tokens that it waits for, by the names of their environment variables.
         */
        Summary: {
            /** Id */
            id: string;
            /** Name */
            name: string;
            /** Kind */
            kind: string;
            /**
             * Status
             * @enum {string}
             */
            status: "queued" | "starting" | "running" | "stopping" | "finished" | "failed" | "stopped" | "killed";
            /** Progress */
            progress?: number | null;
            /**
             * Step
             * @default 0
             */
            step: number;
            /** Steps */
            steps?: number | null;
            /**
             * Epoch
             * @default 0
             */
            epoch: number;
            /**
             * Stage
             * @default
             */
            stage: string;
            /** Eta */
            eta?: number | null;
            /** Last Loss */
            last_loss?: number | null;
            /**
             * Tags
             * @default []
             */
            tags: string[];
            /**
             * Created
             * @default 0
             */
            created: number;
            /** Started */
            started?: number | null;
            /** Ended */
            ended?: number | null;
            /** Queue Position */
            queue_position?: number | null;
            /**
             * Missing
             * @default []
             */
            missing: string[];
            /**
             * Devices
             * @default []
             */
            devices: string[];
            /**
             * Model
             * @default
             */
            model: string;
            /**
             * Of
             * @default
             */
            of: string;
            /**
             * Resumable
             * @default false
             */
            resumable: boolean;
            /**
             * Usable
             * @default false
             */
            usable: boolean;
            /**
             * Message
             * @default
             */
            message: string;
            /**
             * Hint
             * @default
             */
            hint: string;
        };
        /**
         * Table
         * @description How a table begins. format: of its rows, "columns" where parts of them are made of columns, empty where nothing
         *     can be made of it, which `problem` tells. parts: instruction, input, output, system or text → its columns.
         */
        Table: {
            /** Name */
            name: string;
            /** Columns */
            columns: string[];
            /** More Columns */
            more_columns: number;
            /** Rows */
            rows: string[][];
            /** Format */
            format: string;
            /** Parts */
            parts: {
                [key: string]: string[];
            };
            /** Guessed */
            guessed: boolean;
            problem: components["schemas"]["Fault"] | null;
        };
        /**
         * Tables
         * @description The first tables. more: how many there are beyond, where a file that was not opened counts as one.
         */
        Tables: {
            /** Tables */
            tables: components["schemas"]["Table"][];
            /** More */
            more: number;
        };
        /**
         * Tags
         * @description seen: the tags that the person changed; what others added or took away meanwhile stays so.
         */
        Tags: {
            /** Tags */
            tags: string[];
            /** Seen */
            seen?: string[] | null;
        };
        /**
         * Taken
         * @description The checkpoints of a run that has ended.
         */
        Taken: {
            /** Run */
            run: string;
            /** Name */
            name: string;
            /** Checkpoints */
            checkpoints: number;
            /** Bytes */
            bytes: number;
        };
        /** Text */
        Text: {
            /** Text */
            text: string;
            /**
             * Name
             * @default config.yaml
             */
            name: string;
            /**
             * Verb
             * @default train
             * @enum {string}
             */
            verb: "train" | "eval" | "export" | "chat";
        };
        /**
         * ToAdd
         * @description path: a file or folder of the workspace; hub: a repository. name: left out, after the file.
         */
        ToAdd: {
            /** Path */
            path?: string | null;
            /** Hub */
            hub?: string | null;
            /**
             * Modelscope
             * @default false
             */
            modelscope: boolean;
            /** Name */
            name?: string | null;
            /** Subset */
            subset?: string | null;
            /** Split */
            split?: string | null;
            /**
             * Dataset Dir
             * @default data
             */
            dataset_dir: string;
        };
        /**
         * ToDecide
         * @description question, answer: in a person's words, left out where they stay. open: as the checks have it.
         */
        ToDecide: {
            /**
             * Verdict
             * @enum {string}
             */
            verdict: "accepted" | "rejected" | "open";
            /** Question */
            question?: string | null;
            /** Answer */
            answer?: string | null;
        };
        /** ToKeep */
        ToKeep: {
            /**
             * Title
             * @default
             */
            title: string;
            /** Content */
            content: {
                [key: string]: unknown;
            };
            /** Revision */
            revision?: string | null;
        };
        /**
         * ToLoad
         * @description model: a run, a checkpoint, a folder, a GGUF file or a hub id. free: sessions that are unloaded for it.
         */
        ToLoad: {
            /** Model */
            model: string;
            /** Adapter */
            adapter?: string | null;
            /**
             * Settings
             * @default {}
             */
            settings: {
                [key: string]: unknown;
            };
            /**
             * Trusted
             * @default false
             */
            trusted: boolean;
            /**
             * Free
             * @default []
             */
            free: string[];
        };
        /** ToRestore */
        ToRestore: {
            /**
             * File
             * @default 0
             */
            file: number;
            /** Line */
            line: string;
            /** Revision */
            revision: string;
        };
        /**
         * ToSave
         * @description revision: of what the person knows under that name, empty where they know of none; left out, it is replaced
         *     whatever it is.
         */
        ToSave: {
            /** Settings */
            settings: {
                [key: string]: unknown;
            };
            /** Revision */
            revision?: string | null;
        };
        /**
         * ToSend
         * @description name: a data set in a .jsonl file, made where there is none of that name.
         */
        ToSend: {
            /** Name */
            name: string;
            /**
             * Dataset Dir
             * @default data
             */
            dataset_dir: string;
            /** Messages */
            messages: components["schemas"]["Turn-Input"][];
            /** System */
            system?: string | null;
            /**
             * Tools
             * @default []
             */
            tools: {
                [key: string]: unknown;
            }[];
        };
        /**
         * ToVerify
         * @description place: an exported folder or file; run: what it came from, where it does not say so itself.
         */
        ToVerify: {
            /** Place */
            place: string;
            /** Run */
            run?: string | null;
            /**
             * Devices
             * @default []
             */
            devices: string[];
        };
        /**
         * ToWrite
         * @description anyway: although the file was changed by others since.
         */
        ToWrite: {
            /**
             * Anyway
             * @default false
             */
            anyway: boolean;
        };
        /**
         * Tokens
         * @description tokens: by the names that the run is `missing`; handed to its process in its environment, never kept.
         */
        Tokens: {
            /**
             * Tokens
             * @default {}
             */
            tokens: {
                [key: string]: string;
            };
        };
        /** Told */
        Told: {
            /** Message */
            message: string;
            /**
             * Hint
             * @default
             */
            hint: string;
            /** Field */
            field?: string | null;
        };
        /**
         * Turn
         * @description A message as OpenAI's interface writes it.
         */
        "Turn-Input": {
            /** Role */
            role: string;
            /**
             * Content
             * @default
             */
            content: string | null;
            /** Reasoning Content */
            reasoning_content?: string | null;
            /** Tool Calls */
            tool_calls?: {
                [key: string]: unknown;
            }[] | null;
            /** Tool Call Id */
            tool_call_id?: string | null;
            /** Name */
            name?: string | null;
        };
        /** Turn */
        "Turn-Output": {
            /** Role */
            role: string;
            /** Content */
            content: string;
        };
        /** Uploaded */
        Uploaded: {
            /** Path */
            path: string;
        };
        /** Warned */
        Warned: {
            /** Warnings */
            warnings: string[];
        };
        /**
         * Word
         * @description sign: what it is, for translation; values: what the sentence names. step: where, best: the checkpoint to take.
         */
        Word: {
            /**
             * Sign
             * @enum {string}
             */
            sign: "not_a_number" | "rate_too_high" | "early_jump" | "diverging" | "overfitting" | "good" | "spike" | "plateau";
            /**
             * Level
             * @enum {string}
             */
            level: "info" | "warning" | "error";
            /** Message */
            message: string;
            /**
             * Fix
             * @default
             */
            fix: string;
            /** Step */
            step?: number | null;
            /**
             * Values
             * @default {}
             */
            values: {
                [key: string]: number;
            };
        };
        /**
         * Saved
         * @description revision: changes with the content; given back when saving, so that nobody's work is overwritten unseen.
         */
        tunesmith__web__api__arguments__Saved: {
            /** Name */
            name: string;
            /** Settings */
            settings: {
                [key: string]: unknown;
            };
            /**
             * Notes
             * @default []
             */
            notes: string[];
            /** Revision */
            revision: string;
        };
        /**
         * Asked
         * @description sources: files and folders of the workspace. api_key: handed to the process in its environment, never kept.
         *     keyed: whether a key is going to be given, for what only tells of the job and needs no key.
         */
        tunesmith__web__api__authoring__Asked: {
            /** Sources */
            sources: string[];
            /** Options */
            options: {
                [key: string]: unknown;
            };
            /** Api Key */
            api_key?: string | null;
            /**
             * Keyed
             * @default false
             */
            keyed: boolean;
        };
        /** Preview */
        tunesmith__web__api__authoring__Preview: {
            /** Lines */
            lines: string[];
        };
        /** Asked */
        tunesmith__web__api__configuration__Asked: {
            /**
             * Verb
             * @default train
             * @enum {string}
             */
            verb: "train" | "eval" | "export" | "chat";
            /** Settings */
            settings: {
                [key: string]: unknown;
            };
        };
        /** Saved */
        tunesmith__web__api__dataset_shapes__Saved: {
            /** Revision */
            revision: string;
            /**
             * Removed
             * @default 0
             */
            removed: number;
        };
        /** Asked */
        tunesmith__web__api__estimates__Asked: {
            /** Settings */
            settings: {
                [key: string]: unknown;
            };
            /** Devices */
            devices?: string[] | null;
        };
        /** Asked */
        tunesmith__web__api__exports__Asked: {
            /** Settings */
            settings: {
                [key: string]: unknown;
            };
        };
        /**
         * Preview
         * @description lines: what would be written, with sizes, and the disk and memory it takes.
         */
        tunesmith__web__api__exports__Preview: {
            /** Lines */
            lines: string[];
        };
        /** Written */
        tunesmith__web__api__exports__Written: {
            /** Path */
            path: string;
            /** Bytes */
            bytes: number;
        };
        /**
         * Written
         * @description rows of each data set.
         */
        tunesmith__web__api__made__Written: {
            /** Rows */
            rows: {
                [key: string]: number;
            };
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export type operations = Record<string, never>;
